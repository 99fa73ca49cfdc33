"""Triplet attention."""

import keras
from keras import ops

from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.weight_options import WeightOptions
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import check_odd
from attention_zoo.layers.vision.spatial_attention import describe_positions


class PlaneGate(WeightOptions):
    """The gate of a plane, from mean and maximum across it.

    Args:
        kernel_size: Odd reach of the convolution.
        gate_activation: Activation of the gate, a function.
        weights_are: `"positions"` for the plane of height and width, `"channels"` for
            that of an axis and the channels. Defaults to `"positions"`.

    Call arguments:
        x: Tensor of shape `(B, P, Q, R)`.

    Returns:
        Gate of shape `(B, P, Q)`: the sigmoid of a convolution with batch normalisation
        of mean and maximum over the last axis.
    """

    family = "hybrid"

    def __init__(self, kernel_size, gate_activation, weights_are="positions", **kwargs):
        super().__init__(**kwargs)
        self.weights_are = weights_are
        self.gate_activation = gate_activation
        self._conv = keras.layers.Conv2D(
            1,
            kernel_size,
            padding="same",
            use_bias=False,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="conv",
        )
        self._norm = keras.layers.BatchNormalization(
            dtype=self.dtype_policy, name="norm"
        )

    def build(self, x_shape):
        self._conv.build((*tuple(x_shape)[:-1], 2))
        self._norm.build((*tuple(x_shape)[:-1], 1))
        self.built = True

    def call(self, x):
        gate = self._norm(self._conv(describe_positions(x)))
        gate = self.gate_activation(gate[..., 0])
        record(self, gate)
        return gate

    def reduce_weights(self, weights, sizes):
        return weights if self.weights_are == "positions" else weights.mean(axis=1)


@keras.saving.register_keras_serializable("attention_zoo")
class TripletAttention(VisionLayer):
    """Three gates, each over a pair of the axes height, width and channel, averaged.

    For each pair of axes, with the third one pooled to its mean and maximum:

    1. Gate: `sigmoid(BN(conv))`, a `kernel_size` x `kernel_size` convolution over the
       two axes: `height_width` `(B, H, W)`, `height_channel` `(B, H, C)`,
       `width_channel` `(B, W, C)`.
    2. The inputs times the gate.

    Output: the mean of the three, the inputs' shape.

    Cost at 64 channels on a 32 x 32 map: 300 parameters, 1,003,520 FLOPs.

    Args:
        kernel_size: Odd integer. Reach of the convolutions. Defaults to `7`.
        gate_activation: String or function. Activation of the gates. Defaults to
            `"sigmoid"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`.
        return_attention_scores: Boolean. Whether the gates are returned too.
        training: Boolean. Whether batch normalisation takes the batch's statistics.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` a tuple of
        the gates `(B, H, W)`, `(B, H, C)` and `(B, W, C)`. The parts record them.

    Raises:
        ValueError: If the inputs have another rank, or if `kernel_size` is even.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.TripletAttention(kernel_size=3)
    output, (spatial, height, width) = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert spatial.shape == (2, 7, 5)
    assert height.shape == (2, 7, 8)
    assert width.shape == (2, 5, 8)
    ```

    References:
        - Misra et al. 2021, https://arxiv.org/abs/2010.03045
    """

    family = "hybrid"
    weights_are = None
    ranks = (2,)
    records = False

    def __init__(
        self, kernel_size=7, gate_activation="sigmoid", data_format=None, **kwargs
    ):
        super().__init__(data_format=data_format, **kwargs)
        check_odd(type(self).__name__, kernel_size=kernel_size)
        self.kernel_size = kernel_size
        self.gate_activation = keras.activations.get(gate_activation)
        kinds = {
            "height_width": "positions",
            "height_channel": "channels",
            "width_channel": "channels",
        }
        self._planes = [
            PlaneGate(
                self.kernel_size,
                self.gate_activation,
                weights_are,
                name=name,
                dtype=self.dtype_policy,
            )
            for name, weights_are in kinds.items()
        ]

    def build_maps(self, shape):
        batch, height, width, channels = shape
        self._planes[0].build(shape)
        self._planes[1].build((batch, height, channels, width))
        self._planes[2].build((batch, width, channels, height))

    def attend_maps(self, x):
        height_width = self._planes[0](x)
        height_channel = self._planes[1](ops.transpose(x, (0, 1, 3, 2)))
        width_channel = self._planes[2](ops.transpose(x, (0, 2, 3, 1)))
        gate = ops.expand_dims(height_width, 3)
        gate = gate + ops.expand_dims(height_channel, 2)
        gate = gate + ops.expand_dims(width_channel, 1)
        return x * gate / 3, (height_width, height_channel, width_channel)

    def scores_shape(self, shape):
        batch, height, width, channels = shape
        return (
            (batch, height, width),
            (batch, height, channels),
            (batch, width, channels),
        )

    def get_config(self):
        config = {
            "kernel_size": self.kernel_size,
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}
