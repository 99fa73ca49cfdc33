"""ProbSparse attention: full attention for the few queries that single out keys."""

import keras
import numpy as np
from keras import ops

from attention_zoo.layers.core.entmax import LOWEST
from attention_zoo.layers.core.inputs import max_or_zeros
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.scores import dot_scores
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.series._shared import (
    SeriesAttention,
    take_steps,
    visible_first,
)

POWERS_OF_E = np.floor(np.exp(np.arange(21))).astype("int32")


def log_count(length, factor):
    """Returns `factor * ceil(ln(L))`, at least 1 and at most L.

    Args:
        length: Integer, or integer tensor of any shape.
        factor: Integer of at least 1.
    """
    if isinstance(length, int):
        return max(1, min(length, factor * int((length > POWERS_OF_E).sum())))
    above = ops.expand_dims(length, -1) > ops.convert_to_tensor(POWERS_OF_E)
    count = factor * ops.sum(ops.cast(above, "int32"), axis=-1)
    return ops.maximum(ops.minimum(length, count), 1)


def spread_positions(length, count, slots):
    """Returns `count` different positions below `length`, spread evenly.

    There is one in each of `count` parts of like size, at a place that changes from
    part to part, so that no period of a series hides between them; the first is 0.

    Args:
        length: Integer tensor `(B, 1)` or an integer.
        count: As `length`, at most `slots`.
        slots: Integer.

    Returns:
        Integer tensor and boolean tensor `(B, slots)` or `(1, slots)`: the positions,
        and which slots hold one.
    """
    slot = ops.expand_dims(ops.arange(slots, dtype="int32"), 0)
    low, high = slot * length // count, (slot + 1) * length // count
    place = slot * 633 % 1024  # the golden section of 1024
    position = low + place * (high - low) // 1024
    return ops.where(slot < count, position, 0), slot < count


def sparsity(query, sampled, visible):
    """Returns `max_j s_j - mean_j s_j` of the sampled keys, `(B, H, Tq)`.

    Args:
        query: Tensor `(B, H, Tq, K)`, divided by the root of K.
        sampled: Tensor `(B, H, U, K)`.
        visible: Boolean tensor that broadcasts to `(B, H, Tq, U)`.
    """
    scores = dot_scores(query, sampled)
    seen = ops.cast(visible, scores.dtype)
    count = ops.maximum(ops.sum(seen, axis=-1), 1)
    highest = max_or_zeros(ops.where(visible, scores, LOWEST), axis=-1)
    return highest - ops.sum(scores * seen, axis=-1) / count


def mean_value(value, mask, rows):
    """Returns the mean of the values each query may see, `(B, H, 1 or Tq, K)`.

    Args:
        value: Tensor `(B, H, Tv, K)`.
        mask: An `AttentionMask`, whose key mask and causality count.
        rows: Number of queries.
    """
    here = ops.ones_like(value[:, :1, :, :1])
    if mask.key_mask is not None:
        here = here * ops.cast(ops.expand_dims(mask.key_mask, (1, 3)), value.dtype)
    if not mask.causal:
        total = ops.sum(value * here, axis=2, keepdims=True)
        return total / ops.maximum(ops.sum(here, axis=2, keepdims=True), 1)
    total, count = ops.cumsum(value * here, axis=2), ops.cumsum(here, axis=2)
    last = ops.minimum(ops.arange(rows, dtype="int32"), ops.shape(value)[2] - 1)
    mean = total / ops.maximum(count, 1)
    return ops.take(mean, last, axis=2)


@keras.saving.register_keras_serializable("attention_zoo")
class ProbSparseAttention(SeriesAttention):
    """Full attention for the few queries that single out keys, a mean for the others.

    `L` is the number of steps that are not padding, `c` the `factor`.

    1. Projections to heads, `(B, H, T, K)`.
    2. Sparsity of each query, `M = max_j s_j - mean_j s_j` with `s = q . k / sqrt(K)`,
       over `c ceil(ln(Lv))` sampled keys, shape `(B, H, Tq)`.
    3. The `u = c ceil(ln(Lq))` queries of largest M get `softmax(s) V`; all others the
       mean of the values they may see, which in causal attention is that of the values
       so far.
    4. The heads projected, `(B, Tq, Dq)`.

    Every query sees the same sample: keys spread evenly over the series, none at
    random, so that equal inputs give equal outputs and a row does not depend on its
    batch; the authors draw keys for each query anew. The mean is over the sample, where
    the authors' code divides by Lv, and causal attention gives a mean where that code
    gives a sum. With `factor` as large as the series is long this is exact attention.

    In causal attention no value comes from the future, but a later query may take the
    place of an earlier one among the u: which get full attention depends on the whole
    series.

    `key` has no bias, which the softmax would cancel.

    Args:
        num_heads: Integer. Number of heads. Defaults to `4`.
        key_dim: Integer. Width of each head. Defaults to `None`: the query's width
            divided by `num_heads`, rounded up.
        factor: Integer `c` of at least 1. Defaults to `5`.
        dropout: Float in [0, 1). Dropout rate applied to the softmax weights.
            Defaults to `0.0`.
        seed: Integer. Seed of the dropout. Defaults to `None`.
        use_bias: Boolean. Whether the projections have biases. Defaults to `True`.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`. Defaults to `query`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.
        training: Boolean. Whether dropout is applied.
        mask: Boolean tensor of shape `(B, Tq)`, the same as `query_mask` under the
            name by which Keras fills it in for a layer called on one tensor.

    Returns:
        Output of shape `(B, Tq, Dq)`, and with `return_attention_scores=True` the
        weights of shape `(B, H, Tq, Tv)`, dropout included, which are then multiplied
        out.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    series = np.random.normal(size=(2, 24, 8)).astype("float32")
    layer = layers.ProbSparseAttention(num_heads=2, factor=1)
    assert layer(series, use_causal_mask=True).shape == (2, 24, 8)
    ```

    References:
        - Zhou et al. 2021, https://arxiv.org/abs/2012.07436
    """

    call_options = ("use_causal_mask", "return_attention_scores")
    unbiased = ("key",)

    def __init__(
        self,
        num_heads=4,
        key_dim=None,
        factor=5,
        dropout=0.0,
        seed=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(num_heads, key_dim, use_bias, kernel_initializer, **kwargs)
        check_positive_integer(type(self).__name__, factor=factor)
        self.factor = factor
        self._set_dropout(dropout, seed)

    def _sampled_keys(self, mask, length):
        """Returns the positions of the sampled keys, `(B, U)`, and which are any."""
        slots = log_count(length, self.factor)
        if mask.key_mask is None:
            return spread_positions(length, slots, slots)
        order, own = visible_first(mask.key_mask)
        index, used = spread_positions(own, log_count(own, self.factor), slots)
        used = ops.logical_and(used, own > 0)
        return ops.take_along_axis(order, index, axis=1), used

    def _choose(self, query, key, mask):
        """Returns the positions of the chosen queries, `(B, H, u)`, and which are any.

        No gradient flows through the choice.
        """
        rows, length = ops.shape(query)[2], ops.shape(key)[2]
        index, used = self._sampled_keys(mask, length)
        visible = ops.expand_dims(used, (1, 2))  # (B, 1, 1, U)
        if mask.causal:
            row = ops.reshape(ops.arange(rows, dtype="int32"), (1, 1, -1, 1))
            past = ops.expand_dims(ops.cast(index, "int32"), (1, 2)) <= row
            visible = ops.logical_and(visible, past)
        measure = sparsity(query, take_steps(key, index), visible)
        slots = log_count(rows, self.factor)
        slot = ops.reshape(ops.arange(slots, dtype="int32"), (1, 1, -1))
        used = slot < slots
        if mask.query_mask is not None:
            measure = ops.where(ops.expand_dims(mask.query_mask, 1), measure, LOWEST)
            own = ops.sum(ops.cast(mask.query_mask, "int32"), axis=1)
            own = ops.where(own > 0, log_count(own, self.factor), 0)
            used = slot < ops.expand_dims(own, (1, 2))
        return ops.top_k(ops.stop_gradient(measure), slots)[1], used

    def _attend_heads(self, query, key, value, mask, training, need_weights):
        query, key, value = map(widen, (query, key, value))
        query = query / query.shape[-1] ** 0.5
        rows, length = ops.shape(query)[2], ops.shape(key)[2]
        index, used = self._choose(query, key, mask)
        few = ops.take_along_axis(query, ops.expand_dims(index, -1), axis=2)
        visible = ops.expand_dims(used, -1)  # (B, 1, u, 1)
        seen = AttentionMask(key_mask=mask.key_mask, heads=True).rows(1, length)
        if seen is not None:
            visible = ops.logical_and(visible, seen)
        if mask.causal:
            past = ops.arange(length, dtype="int32") <= ops.expand_dims(
                ops.cast(index, "int32"), -1
            )
            visible = ops.logical_and(visible, past)
        few = masked_softmax(dot_scores(few, key), visible)  # (B, H, u, Tv)
        few = self._drop(few, training)
        place = ops.one_hot(index, rows, dtype=query.dtype)
        place = place * ops.cast(ops.expand_dims(used, -1), place.dtype)
        place = ops.swapaxes(place, 2, 3)  # (B, H, Tq, u)
        chosen = ops.sum(place, axis=-1, keepdims=True) > 0.5
        mean = mean_value(value, mask, rows)
        output = ops.where(chosen, ops.matmul(place, ops.matmul(few, value)), mean)
        if not need_weights:
            return output, None
        equal = mask.rows(rows, length)
        if equal is None:
            equal = ops.ones((1, 1, rows, length), dtype="bool")
        dense = masked_softmax(ops.zeros_like(equal, dtype=query.dtype), equal)
        weights = ops.where(chosen, ops.matmul(place, few), dense)
        return output, weights

    def get_config(self):
        config = {"factor": self.factor, "dropout": self.dropout, "seed": self.seed}
        return {**super().get_config(), **config}
