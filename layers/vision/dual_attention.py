"""Dual attention."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import (
    add_projections,
    count_positions,
    flatten_positions,
    mean_over_queries,
    reduced_channels,
    softmax,
    unflatten_positions,
)


class PositionAttention(VisionLayer):
    """Every position attends to every position: the first half of `DualAttention`.

    Weights are softmax of `query . key`, `(B, N, N)`; the output is the inputs plus
    `scale` times the weighted values.
    """

    family = "spatial"

    def __init__(self, ratio, **kwargs):
        super().__init__(**kwargs)
        self.ratio = ratio

    def build_maps(self, shape):
        channels = shape[-1]
        hidden = reduced_channels("DualAttention", channels, self.ratio)
        add_projections(self, shape, hidden, channels)
        self.scale = self.add_weight(name="scale", shape=(), initializer="zeros")

    def attend_maps(self, x):
        query, key, value = (
            flatten_positions(part(x)) for part in (self._query, self._key, self._value)
        )
        scores = ops.matmul(query, ops.swapaxes(key, 1, 2))
        weights = softmax(scores)
        result = unflatten_positions(ops.matmul(weights, value), x)
        return x + ops.cast(self.scale, x.dtype) * result, weights

    def reduce_weights(self, weights, sizes):
        return mean_over_queries(weights, sizes)

    def scores_shape(self, shape):
        count = count_positions(shape)
        return (shape[0], count, count)


class ChannelMixing(VisionLayer):
    """Every channel attends to every channel: the second half of `DualAttention`.

    Weights are softmax of the channels' dot products, `(B, C, C)`; the output is the
    inputs plus `scale` times the weighted channels.
    """

    family = "channel"
    weights_are = "channels"

    def build_maps(self, shape):
        self.scale = self.add_weight(name="scale", shape=(), initializer="zeros")

    def attend_maps(self, x):
        flat = flatten_positions(x)
        channels = ops.swapaxes(widen(flat), 1, 2)  # (B, C, N)
        scores = ops.matmul(channels, widen(flat))  # large sums: at least float32
        weights = ops.cast(softmax(scores), x.dtype)
        result = ops.matmul(flat, ops.swapaxes(weights, 1, 2))  # (B, N, C)
        result = unflatten_positions(result, x)
        return x + ops.cast(self.scale, x.dtype) * result, weights

    def reduce_weights(self, weights, sizes):
        return weights.mean(axis=1)  # over the channels that look

    def scores_shape(self, shape):
        return (shape[0], shape[-1], shape[-1])


@keras.saving.register_keras_serializable("attention_zoo")
class DualAttention(VisionLayer):
    """Positions attend to positions and channels to channels; both are summed: DANet.

    1. `position`: softmax of `query . key` over the N positions, weights `(B, N, N)`;
       the inputs plus `scale` times the weighted values.
    2. `channel`: softmax over the channels of their dot products `x_c . x_d`, weights
       `(B, C, C)`; the inputs plus `scale` times the weighted channels.
    3. Output: the sum of both, the inputs' shape: twice the inputs at the start, where
       both scales are 0.

    The paper's formula is followed where the authors' code subtracts the dot products
    from their maximum, which attends to unlike channels. `key` has no bias, which the
    softmax would cancel.

    Cost at 64 channels on a 32 x 32 map: 5,194 parameters, 178,257,920 FLOPs.

    Args:
        ratio: Integer. How many times fewer channels query and key have, rounded up.
            Defaults to `8`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` a tuple of
        the weights `(B, N, N)` and `(B, C, C)`. The parts record them.

    Raises:
        ValueError: If the inputs have another rank, or if they have fewer channels than
            `ratio`.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.DualAttention(ratio=4)
    output, (position, channel) = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert position.shape == (2, 35, 35)
    assert channel.shape == (2, 8, 8)
    ```

    References:
        - Fu et al. 2019, https://arxiv.org/abs/1809.02983
    """

    family = "hybrid"
    weights_are = None
    records = False

    def __init__(self, ratio=8, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        check_positive_integer(type(self).__name__, ratio=ratio)
        self.ratio = ratio
        options = {"data_format": "channels_last", "dtype": self.dtype_policy}
        self._position = PositionAttention(ratio, name="position", **options)
        self._channel = ChannelMixing(name="channel", **options)

    def build_maps(self, shape):
        self._position.build(shape)
        self._channel.build(shape)

    def attend_maps(self, x):
        by_position, position = self._position(x, return_attention_scores=True)
        by_channel, channel = self._channel(x, return_attention_scores=True)
        return by_position + by_channel, (position, channel)

    def scores_shape(self, shape):
        return self._position.scores_shape(shape), self._channel.scores_shape(shape)

    def get_config(self):
        return {**super().get_config(), "ratio": self.ratio}
