"""Concurrent spatial and channel squeeze and excite."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_choice
from attention_zoo.layers.vision._base import GatePair, SpatialGate
from attention_zoo.layers.vision.squeeze_excite import SqueezeExcite

COMBINATIONS = ("sum", "max")


class SpatialSqueezeExcite(SpatialGate):
    """Each position times the sigmoid of one 1 x 1 convolution to one channel."""

    def __init__(self, gate_activation="sigmoid", **kwargs):
        super().__init__(**kwargs)
        self.gate_activation = keras.activations.get(gate_activation)

    def build_maps(self, shape):
        self._conv = keras.layers.Dense(
            1, use_bias=False, dtype=self.dtype_policy, name="conv"
        )
        self._conv.build(shape)

    def calculate_gate(self, x):
        return self.gate_activation(self._conv(x)[..., 0])


@keras.saving.register_keras_serializable("attention_zoo")
class ConcurrentSqueezeExcite(GatePair):
    """Squeeze and excite over the channels and over the positions, side by side: scSE.

    1. Channel (cSE): `SqueezeExcite`, gate `(B, C)`, the part `channel`.
    2. Spatial (sSE): `x sigmoid(w . x)`, gate `(B, H, W)`, the part `spatial`.
    3. Output: the sum of both, or their element-wise maximum, the inputs' shape.

    Cost at 64 channels on a 32 x 32 map: 4,160 parameters, 139,264 FLOPs.

    Args:
        ratio: Integer. How many times narrower the hidden layer of the channel gate is,
            rounded up. Defaults to `2`.
        combine: String, `"sum"` as in the first paper, or `"max"`. Defaults to `"sum"`.
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
            `ratio`, or if `combine` is unknown.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.ConcurrentSqueezeExcite(ratio=2)
    output, (channel, spatial) = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert channel.shape == (2, 8)
    assert spatial.shape == (2, 7, 5)
    ```

    References:
        - Roy et al. 2018, https://arxiv.org/abs/1803.02579
        - Roy et al. 2018, https://arxiv.org/abs/1808.08127 (the maximum)
    """

    def __init__(
        self,
        ratio=2,
        combine="sum",
        activation="relu",
        gate_activation="sigmoid",
        data_format=None,
        **kwargs,
    ):
        super().__init__(data_format=data_format, **kwargs)
        check_choice(type(self).__name__, COMBINATIONS, combine=combine)
        options = {"gate_activation": gate_activation, **self.part_options()}
        self._channel = SqueezeExcite(
            ratio, activation=activation, name="channel", **options
        )
        self._spatial = SpatialSqueezeExcite(name="spatial", **options)
        self.ratio = ratio
        self.combine = combine
        self.activation = self._channel.activation
        self.gate_activation = self._channel.gate_activation

    def combine_gated(self, by_channel, by_position):
        if self.combine == "sum":
            return by_channel + by_position
        return ops.maximum(by_channel, by_position)

    def get_config(self):
        config = {
            "ratio": self.ratio,
            "combine": self.combine,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}
