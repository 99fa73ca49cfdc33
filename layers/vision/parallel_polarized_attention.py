"""Polarized self-attention, the parallel form."""

import keras
from keras import ops

from attention_zoo.layers.vision._base import ChannelGate, GatePair, SpatialGate
from attention_zoo.layers.vision._shared import (
    flatten_positions,
    global_average,
    reduced_channels,
    softmax,
)
from attention_zoo.layers.vision.global_context import attention_pool


class PolarizedChannelGate(ChannelGate):
    """Channel gate from the attended mean of half as many channels."""

    def build_maps(self, shape):
        channels, policy = shape[-1], self.dtype_policy
        hidden = reduced_channels("ParallelPolarizedAttention", channels, 2)
        self._query = keras.layers.Dense(1, use_bias=False, dtype=policy, name="query")
        self._value = keras.layers.Dense(
            hidden, use_bias=False, dtype=policy, name="value"
        )
        self._output = keras.layers.Dense(channels, dtype=policy, name="output")
        self._norm = keras.layers.LayerNormalization(dtype=policy, name="norm")
        self._query.build(shape)
        self._value.build(shape)
        self._output.build((shape[0], hidden))
        self._norm.build((shape[0], channels))

    def calculate_gate(self, x):
        logits = flatten_positions(self._query(x))[..., 0]  # (B, N)
        pooled, _ = attention_pool(flatten_positions(self._value(x)), logits)
        return ops.sigmoid(self._norm(self._output(pooled)))


class PolarizedSpatialGate(SpatialGate):
    """Spatial gate from each position's product with the attended mean."""

    def build_maps(self, shape):
        channels, policy = shape[-1], self.dtype_policy
        hidden = reduced_channels("ParallelPolarizedAttention", channels, 2)
        self._query = keras.layers.Dense(
            hidden, use_bias=False, dtype=policy, name="query"
        )
        self._value = keras.layers.Dense(
            hidden, use_bias=False, dtype=policy, name="value"
        )
        self._query.build((shape[0], channels))
        self._value.build(shape)

    def calculate_gate(self, x):
        # The mean of a 1 x 1 convolution is the convolution of the mean.
        query = self._query(global_average(x))
        value = flatten_positions(self._value(x))
        logits = ops.matmul(value, ops.expand_dims(softmax(query), -1))  # (B, N, 1)
        return ops.sigmoid(ops.reshape(logits, ops.shape(x)[:-1]))


@keras.saving.register_keras_serializable("attention_zoo")
class ParallelPolarizedAttention(GatePair):
    """A channel and a spatial gate side by side, each at high resolution: PSA.

    1. `channel`: values `(B, N, C / 2)` are averaged by a softmax over the positions of
       a one-channel query; `sigmoid(LayerNorm(Wz mean + bz))`, gate `(B, C)`.
    2. `spatial`: a query `(B, C / 2)`, the softmax over the channels of the mean of a
       1 x 1 convolution, times the values `(B, N, C / 2)`; a sigmoid, gate `(B, H, W)`.
    3. Output: the inputs times the one plus the inputs times the other.

    Convolutions have no biases but `channel/output`, like the authors' code; that code
    has another bottleneck inside Wz, the paper has not.

    Cost at 64 channels on a 32 x 32 map: 8,448 parameters, 8,658,944 FLOPs.

    Args:
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
        ValueError: If the inputs have another rank, or if they have a single channel.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.ParallelPolarizedAttention()
    output, (channel, spatial) = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert channel.shape == (2, 8)
    assert spatial.shape == (2, 7, 5)
    ```

    References:
        - Liu et al. 2021, https://arxiv.org/abs/2107.00782
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        self._channel = PolarizedChannelGate(name="channel", **self.part_options())
        self._spatial = PolarizedSpatialGate(name="spatial", **self.part_options())
