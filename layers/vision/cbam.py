"""The convolutional block attention module."""

import keras

from attention_zoo.layers.vision._base import GatePair
from attention_zoo.layers.vision.channel_attention import ChannelAttention
from attention_zoo.layers.vision.spatial_attention import SpatialAttention


@keras.saving.register_keras_serializable("attention_zoo")
class CBAM(GatePair):
    """`ChannelAttention`, then `SpatialAttention` on its output.

    1. Each channel times its gate `(B, C)`, from the channel's mean and maximum.
    2. Each position times its gate `(B, H, W)`, from mean and maximum over the
       channels.

    The parts are called `channel` and `spatial`.

    Cost at 64 channels on a 32 x 32 map: 610 parameters, 202,752 FLOPs.

    Args:
        ratio: Integer. How many times narrower the hidden layer of the channel gate is,
            rounded up to whole channels. Defaults to `16`.
        kernel_size: Odd integer. Reach of the spatial gate's convolution. Defaults to
            `7`.
        activation: String or function. Activation of the hidden layer. Defaults to
            `"relu"`.
        gate_activation: String or function. Activation of both gates. Defaults to
            `"sigmoid"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the gates are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` a tuple of
        the gates, `(B, C)` and `(B, H, W)`. The parts record them.

    Raises:
        ValueError: If the inputs have another rank, if they have fewer channels than
            `ratio`, or if `kernel_size` is even.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.CBAM(ratio=2, kernel_size=3)
    output, (channel, spatial) = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert channel.shape == (2, 8)
    assert spatial.shape == (2, 7, 5)
    ```

    References:
        - Woo et al. 2018, https://arxiv.org/abs/1807.06521
    """

    def __init__(
        self,
        ratio=16,
        kernel_size=7,
        activation="relu",
        gate_activation="sigmoid",
        data_format=None,
        **kwargs,
    ):
        super().__init__(data_format=data_format, **kwargs)
        options = {"gate_activation": gate_activation, **self.part_options()}
        self._channel = ChannelAttention(
            ratio, activation=activation, name="channel", **options
        )
        self._spatial = SpatialAttention(kernel_size, name="spatial", **options)
        self.ratio = ratio
        self.kernel_size = kernel_size
        self.activation = self._channel.activation
        self.gate_activation = self._channel.gate_activation

    def attend_maps(self, x):
        x, channel = self._channel(x, return_attention_scores=True)
        x, spatial = self._spatial(x, return_attention_scores=True)
        return x, (channel, spatial)

    def get_config(self):
        config = {
            "ratio": self.ratio,
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}
