"""Linear attention: a feature map in place of the softmax."""

import keras
from keras import ops

from attention_zoo.layers.core.loops import split_blocks
from attention_zoo.layers.core.masks import AttentionMask, zero_padding
from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.efficient.base import LinearCostAttention


def elu_features(x):
    """Returns `elu(x) + 1`, which is positive everywhere."""
    return ops.elu(x) + 1


def feature_attention(query, key, value, causal=False, chunk_size=64):
    """Attention with the weights `q_i . k_j / sum_j q_i . k_j`, in linear time.

    Args:
        query: Features `(B, Tq, M)`, not negative; zeros at padding.
        key: Features `(B, Tv, M)`, not negative; zeros at padding.
        value: Tensor `(B, Tv, Dv)`.
        causal: Whether query `i` sees keys up to `i` only.
        chunk_size: Number of queries that the causal form takes at a time.

    Returns:
        Tensor `(B, Tq, Dv)`; 0 where a query has nothing to see.
    """
    ones = ops.ones_like(value[..., :1])
    value = ops.concatenate([value, ones], axis=-1)  # its sums are the denominators
    if causal:
        sums = _causal_sums(query, key, value, chunk_size)
    else:
        memory = ops.matmul(ops.swapaxes(key, -2, -1), value)  # (B, M, Dv + 1)
        sums = ops.matmul(query, memory)
    return _divide(sums[..., :-1], sums[..., -1:])


def feature_weights(query, key, causal=False):
    """Returns the weights `(B, Tq, Tv)` of `feature_attention`, in quadratic time."""
    products = ops.matmul(query, ops.swapaxes(key, -2, -1))
    if causal:
        band = AttentionMask(causal=True).rows(ops.shape(query)[1], ops.shape(key)[1])
        products = ops.where(band, products, ops.zeros_like(products))
    return _divide(products, ops.sum(products, axis=-1, keepdims=True))


def _causal_sums(query, key, value, size):
    """Returns `sum_{j <= i} (q_i . k_j) v_j` by chunks of `size` positions.

    A chunk looks at itself through a `size x size` triangle, and at all chunks before
    it through the running sum of their `k' v`: memory is linear in T.
    """
    batch, total = ops.shape(query)[:2]
    count = (total + size - 1) // size

    def cut_keys(x):
        # As many positions as the queries have: no query sees later ones.
        filler = ops.zeros((batch, count * size, x.shape[-1]), dtype=x.dtype)
        x = ops.concatenate([x, filler], axis=1)[:, : count * size]
        return split_blocks(x, -2, size, count)

    query = split_blocks(query, -2, size, count)  # (count, B, size, M)
    key, value = cut_keys(key), cut_keys(value)
    key_rows = ops.swapaxes(key, -2, -1)
    memory = ops.matmul(key_rows, value)  # (count, B, M, Dv + 1)
    memory = ops.cumsum(memory, axis=0)
    before = ops.concatenate([ops.zeros_like(memory[:1]), memory[:-1]], axis=0)
    within = ops.matmul(query, key_rows)  # (count, B, size, size)
    within = within * ops.tri(size, dtype=within.dtype)
    sums = ops.matmul(query, before) + ops.matmul(within, value)
    sums = ops.reshape(ops.moveaxis(sums, 0, 1), (batch, count * size, value.shape[-1]))
    return sums[:, :total]


def _divide(x, total):
    """Returns `x / total`, 0 where `total` is 0."""
    empty = total <= 0
    return ops.where(empty, ops.zeros_like(x), x / ops.where(empty, 1.0, total))


class FeatureAttention(LinearCostAttention):
    """Base of the attentions that map queries and keys to features.

    A subclass overrides `_features(query, key, key_mask)`, which returns features
    `(B, Tq, M)` and `(B, Tv, M)` that are not negative.
    """

    call_options = ("use_causal_mask", "return_attention_scores")
    chunk_size = 64

    def _attend(self, query, value, key, mask, training, need_weights):
        query, value, key = map(widen, (query, value, key))  # sums over all of T
        query, key = self._features(query, key, mask.key_mask)
        query = zero_padding(query, mask.query_mask)
        key = zero_padding(key, mask.key_mask)
        output = feature_attention(query, key, value, mask.causal, self.chunk_size)
        output = ops.cast(output, self.compute_dtype)
        if not need_weights:
            return output, None
        weights = feature_weights(query, key, mask.causal)
        return output, ops.cast(weights, self.compute_dtype)


@keras.saving.register_keras_serializable("attention_zoo")
class LinearAttention(FeatureAttention):
    """Attention with `f(q) . f(k)` in place of `exp(q . k)`, `f(x) = elu(x) + 1`.

    1. Features `f(q_i)` and `f(k_j)`, shapes `(B, Tq, D)` and `(B, Tv, D)`.
    2. Memory: the sums over `j` of `f(k_j)' v_j`, shape `(B, D, Dv)`, and of `f(k_j)`.
    3. Output: `f(q_i)` times the one, divided by `f(q_i)` times the other, shape
       `(B, Tq, Dv)`.

    This is a mean of the values with the weights `f(q_i) . f(k_j) / sum_j f(q_i) .
    f(k_j)`, which are computed only when they are asked for. With a causal mask the
    memory is a running sum, kept once for each chunk. There are no weights to learn:
    the paper's projections are `keras.layers.Dense` here.

    Args:
        chunk_size: Integer. Number of queries that the causal form takes at a time:
            time and memory of `T x chunk_size` and of `T / chunk_size x D x Dv`.
            Defaults to `64`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        query: Tensor of shape `(B, Tq, D)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, D)`, as wide as `query`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: None. No other is taken.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, at a cost of `Tq x Tv`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 5), "float32")
    output = layers.LinearAttention()(query, value)
    np.testing.assert_allclose(output, np.ones((2, 3, 5)), atol=1e-5)
    ```

    References:
        - Katharopoulos et al. 2020, https://arxiv.org/abs/2006.16236
    """

    weight_arguments = ()

    def __init__(self, chunk_size=64, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer(type(self).__name__, chunk_size=chunk_size)
        self.chunk_size = chunk_size

    def _features(self, query, key, key_mask):
        return elu_features(query), elu_features(key)

    def get_config(self):
        return {**super().get_config(), "chunk_size": self.chunk_size}
