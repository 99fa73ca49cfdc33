"""Linear attention: a feature map in place of the softmax."""

import keras
from keras import ops

from attention_zoo.layers.core.blockwise import cut
from attention_zoo.layers.core.masks import AttentionMask
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
        return cut(x, -2, size, count)

    query = cut(query, -2, size, count)  # (count, B, size, M)
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

    causal = True

    def __init__(self, chunk_size=64, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer(type(self).__name__, chunk_size=chunk_size)
        self.chunk_size = chunk_size

    def _attend(self, query, value, key, query_mask, key_mask, causal, need_weights):
        query, value, key = map(widen, (query, value, key))  # sums over all of T
        query, key = self._features(query, key, key_mask)
        query, key = _hide(query, query_mask), _hide(key, key_mask)
        output = feature_attention(query, key, value, causal, self.chunk_size)
        weights = feature_weights(query, key, causal) if need_weights else None
        return output, weights

    def get_config(self):
        return {**super().get_config(), "chunk_size": self.chunk_size}


def _hide(features, mask):
    if mask is None:
        return features
    return ops.where(ops.expand_dims(mask, -1), features, ops.zeros_like(features))


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
        chunk_size: Number of queries that the causal form takes at a time: time and
            memory of `T x chunk_size` and of `T / chunk_size x D x Dv`.
            Defaults to `64`.

    Call arguments: As in `Attention`, without `attention_mask`; `key` is as wide as
    `query`.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, at a cost of `Tq x Tv`.

    Reference: Katharopoulos et al. 2020, https://arxiv.org/abs/2006.16236
    """

    def _features(self, query, key, key_mask):
        return elu_features(query), elu_features(key)
