"""Multi-head self-attention along one axis: a part of the layers that attend by axis,
by window or over time."""

import math

import keras
import numpy as np
from keras import ops

from attention_zoo.layers.core.blockwise import attend
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.normalizers import get_normalizer
from attention_zoo.layers.core.scores import get_score
from attention_zoo.layers.core.weight_options import WeightOptions
from attention_zoo.layers.vision._shared import add_projections


def head_width(owner, channels, num_heads):
    """Returns `channels / num_heads` rounded up; raises where heads are too many."""
    if channels < num_heads:
        raise ValueError(
            f"`{owner}` has too few channels for its heads. Expected at least "
            f"`num_heads` channels. Received: num_heads={num_heads}, "
            f"channels={channels}"
        )
    return -(-channels // num_heads)


class HeadsAttention(WeightOptions):
    """Self-attention of `num_heads` heads over the last but one axis.

    Weights: `query`, `key`, `value` and `output`, dense layers, `key` without bias,
    which the softmax would cancel. A head has `C / num_heads` channels, rounded up.

    Args:
        owner: Name of the layer that this is a part of, for messages.
        num_heads: Number of heads.
        score: A `Score` for tensors `(B, L, heads, T, D)`. Defaults to `None`: the
            scaled dot product.
        axis: Which of the axes between batch and channels the lines run along, from 0,
            for `reduce_weights`. Defaults to `None`: none of a map.

    Call arguments:
        x: Tensor of shape `(B, L, T, C)`: L lines or windows of T positions.
        visible: Boolean tensor that broadcasts to `(B, L, heads, T, T)`, or None.

    Returns:
        Output of shape `(B, L, T, C)`, weights of shape `(B, L, heads, T, T)`.
    """

    weights_are = "positions"

    def __init__(self, owner, num_heads, score=None, axis=None, **kwargs):
        super().__init__(**kwargs)
        self._owner = owner
        self.num_heads = num_heads
        self.axis = axis
        policy = self.dtype_policy
        self._score = score or get_score("scaled_dot", None, owner, policy)
        self._normalizer = get_normalizer("softmax", owner, policy)

    def build(self, x_shape, visible_shape=None):
        x_shape, policy = tuple(x_shape), self.dtype_policy
        width = head_width(self._owner, x_shape[-1], self.num_heads)
        units = width * self.num_heads
        add_projections(self, x_shape, units, units)
        self._output = keras.layers.Dense(x_shape[-1], dtype=policy, name="output")
        self._output.build((*x_shape[:-1], units))
        split = (*x_shape[:-2], self.num_heads, x_shape[-2], width)
        self._score.build(split, split)
        self._normalizer.build((*split[:-1], x_shape[-2]))
        self.built = True

    def _split(self, x):
        """Returns `x` `(B, L, T, heads D)` as `(B, L, heads, T, D)`."""
        shape = (*ops.shape(x)[:-1], self.num_heads, x.shape[-1] // self.num_heads)
        return ops.swapaxes(ops.reshape(x, shape), -3, -2)

    def call(self, x, visible=None):
        result, weights = attend(
            self._split(self._query(x)),
            self._split(self._key(x)),
            self._split(self._value(x)),
            self._score,
            self._normalizer,
            AttentionMask(attention_mask=visible),
        )
        result = ops.swapaxes(result, -3, -2)
        shape = ops.shape(result)
        result = ops.reshape(result, (*shape[:-2], shape[-2] * shape[-1]))
        return self._output(result), weights

    def reduce_weights(self, weights, sizes):
        """As in `VisionLayer`, of weights `(B, ..., heads, T, T)` without the axis."""
        if self.axis is None:
            return None
        others = (*sizes[: self.axis], *sizes[self.axis + 1 :])
        if weights.shape[1:-3] != others or weights.shape[-1] != sizes[self.axis]:
            return None
        seen = weights.mean(axis=-3).sum(axis=-2)  # (B, ..., size of the axis)
        return np.moveaxis(seen, -1, self.axis + 1) / math.prod(sizes)
