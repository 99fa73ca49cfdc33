"""Attention to the nearest positions."""

import math

import keras
import numpy as np
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._heads import head_width
from attention_zoo.layers.vision._neighbors import neighborhoods
from attention_zoo.layers.vision._shared import (
    add_projections,
    check_odd,
    count_positions,
    flatten_positions,
    softmax,
    unflatten_positions,
)


@keras.saving.register_keras_serializable("attention_zoo")
class NeighborhoodAttention(VisionLayer):
    """Each position attends to the `kernel_size` nearest along each axis: NAT.

    1. Neighbors: K = `kernel_size ** rank` positions around each, itself among them. At
       the edges the neighborhood is shifted inwards, so that it has K there too; an
       axis that is shorter than `kernel_size` is taken whole.
    2. Weights: softmax of `query . key / sqrt(D) + bias` over the neighbors, shape
       `(B, heads, N, K)`; `bias` is a scalar for each head and offset,
       `position_bias` `((2 kernel_size - 1) ** rank, heads)`.
    3. Output: `output` of the weighted values, the inputs' shape.

    Unlike a convolution it equals self-attention where the neighborhood is the whole
    map; unlike windows it has no borders inside the map. Keys are gathered for each
    position, which takes `N K C` numbers of memory. `key` has no bias, which the
    softmax would cancel.

    Cost at 64 channels on a 32 x 32 map: 17,252 parameters, 46,399,488 FLOPs.

    Args:
        num_heads: Integer. Number of heads; each has `C / num_heads` channels, rounded
            up. Defaults to `4`.
        kernel_size: Odd integer. Number of neighbors along each axis. Defaults to `7`.
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
        of shape `(B, heads, N, K)`, neighbors row by row.

    Raises:
        ValueError: If the inputs have another rank or fewer channels than heads, or if
            `kernel_size` is even.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.NeighborhoodAttention(num_heads=2, kernel_size=3)
    output, weights = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert weights.shape == (2, 2, 35, 9)
    ```

    References:
        - Hassani et al. 2023, https://arxiv.org/abs/2204.07143
    """

    family = "spatial"

    def __init__(self, num_heads=4, kernel_size=7, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, num_heads=num_heads)
        check_odd(owner, kernel_size=kernel_size)
        self.num_heads = num_heads
        self.kernel_size = kernel_size

    def build_maps(self, shape):
        self._width = head_width(type(self).__name__, shape[-1], self.num_heads)
        units, rank = self._width * self.num_heads, len(shape) - 2
        flat = (shape[0], None, shape[-1])
        add_projections(self, flat, units, units)
        self.position_bias = self.add_weight(
            name="position_bias",
            shape=((2 * self.kernel_size - 1) ** rank, self.num_heads),
            initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        )
        self._output = keras.layers.Dense(
            shape[-1], dtype=self.dtype_policy, name="output"
        )
        self._output.build((shape[0], None, units))

    def _split(self, x):
        """Returns `(B, N, heads D)` as `(B, heads, N, D)`."""
        shape = (*ops.shape(x)[:2], self.num_heads, self._width)
        return ops.swapaxes(ops.reshape(x, shape), 1, 2)

    def attend_maps(self, x):
        flat = flatten_positions(x)
        query = self._split(self._query(flat)) / self._width**0.5
        key, value = self._split(self._key(flat)), self._split(self._value(flat))
        index, offset = neighborhoods(ops.shape(x)[1:-1], self.kernel_size)
        key = ops.take(key, index, axis=2)  # (B, heads, N, K, D)
        scores = ops.matmul(key, ops.expand_dims(query, -1))[..., 0]
        bias = ops.moveaxis(ops.take(self.position_bias, offset, axis=0), -1, 0)
        weights = softmax(widen(scores) + widen(bias))
        weights = ops.cast(weights, x.dtype)
        value = ops.take(value, index, axis=2)
        output = ops.matmul(ops.expand_dims(weights, -2), value)[..., 0, :]
        output = ops.swapaxes(output, 1, 2)
        shape = (*ops.shape(flat)[:2], self.num_heads * self._width)
        output = self._output(ops.reshape(output, shape))
        return unflatten_positions(output, x), weights

    def reduce_weights(self, weights, sizes):
        count = math.prod(sizes)
        if weights.shape[2] != count:
            return None
        index, _ = neighborhoods(sizes, self.kernel_size)
        index = ops.convert_to_numpy(index).reshape(-1)
        mean = weights.mean(axis=1).reshape(len(weights), -1)
        seen = [np.bincount(index, row, minlength=count) for row in mean]
        return np.stack(seen).reshape(-1, *sizes) / count

    def scores_shape(self, shape):
        sizes = [None if n is None else min(n, self.kernel_size) for n in shape[1:-1]]
        neighbors = None if None in sizes else math.prod(sizes)
        return (shape[0], self.num_heads, count_positions(shape), neighbors)

    def get_config(self):
        config = {"num_heads": self.num_heads, "kernel_size": self.kernel_size}
        return {**super().get_config(), **config}
