"""Attention between channels in place of positions."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._heads import head_width
from attention_zoo.layers.vision._shared import (
    add_projections,
    flatten_positions,
    softmax,
    unflatten_positions,
)


@keras.saving.register_keras_serializable("attention_zoo")
class CrossCovarianceAttention(VisionLayer):
    """The channels of a head attend to each other, over all positions: XCiT.

    1. Heads: `query`, `key` and `value` of the inputs, transposed: D channels of N
       positions each, shape `(B, heads, D, N)`; channels of `query` and `key` are
       divided by their length.
    2. Weights: softmax of `scale_h query . key`, shape `(B, heads, D, D)`.
    3. Output: `output` of the weighted channels of `value`, the inputs' shape.

    Its cost is linear in N. `scale` `(heads, 1, 1)` starts at 1, and `key` has no bias.

    Cost at 64 channels on a 32 x 32 map: 16,580 parameters, 37,748,736 FLOPs.

    Args:
        num_heads: Integer. Number of heads; each has `C / num_heads` channels, rounded
            up. Defaults to `4`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the weights
        of shape `(B, heads, D, D)`.

    Raises:
        ValueError: If the inputs have another rank, or if they have fewer channels than
            heads.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.CrossCovarianceAttention(num_heads=2)
    output, weights = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert weights.shape == (2, 2, 4, 4)
    ```

    References:
        - El-Nouby et al. 2021, https://arxiv.org/abs/2106.09681
    """

    family = "channel"
    weights_are = "channels"

    def __init__(self, num_heads=4, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        check_positive_integer(type(self).__name__, num_heads=num_heads)
        self.num_heads = num_heads

    def build_maps(self, shape):
        self._width = head_width(type(self).__name__, shape[-1], self.num_heads)
        units = self._width * self.num_heads
        flat = (shape[0], None, shape[-1])
        add_projections(self, flat, units, units)
        self.scale = self.add_weight(
            name="scale", shape=(self.num_heads, 1, 1), initializer="ones"
        )
        self._output = keras.layers.Dense(
            shape[-1], dtype=self.dtype_policy, name="output"
        )
        self._output.build((shape[0], None, units))

    def _channels(self, x):
        """Returns `(B, N, heads D)` as `(B, heads, D, N)`, widened."""
        shape = (*ops.shape(x)[:2], self.num_heads, self._width)
        return ops.transpose(ops.reshape(widen(x), shape), (0, 2, 3, 1))

    def attend_maps(self, x):
        flat = flatten_positions(x)
        query = _unit_length(self._channels(self._query(flat)))
        key = _unit_length(self._channels(self._key(flat)))
        value = self._channels(self._value(flat))
        scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
        weights = softmax(scores * ops.cast(self.scale, scores.dtype))
        output = ops.transpose(ops.matmul(weights, value), (0, 3, 1, 2))
        shape = (*ops.shape(flat)[:2], self.num_heads * self._width)
        output = ops.cast(ops.reshape(output, shape), x.dtype)
        output = unflatten_positions(self._output(output), x)
        return output, ops.cast(weights, x.dtype)

    def reduce_weights(self, weights, sizes):
        return weights.mean(axis=2).reshape(len(weights), -1)

    def scores_shape(self, shape):
        width = -(-shape[-1] // self.num_heads)
        return (shape[0], self.num_heads, width, width)

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}


def _unit_length(x):
    """Returns `x / sqrt(sum(x^2) + 1e-6)` over the last axis."""
    return x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6)
