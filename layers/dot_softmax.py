"""Softmax attention over dot products, with its gradient written out.

What a block of queries is asked for most often. Recomputing the weights and leaving the
rest to automatic differentiation passes over the `Tq x Tv` numbers several times more.
The formula of the gradient is that of Dao et al. 2022, https://arxiv.org/abs/2205.14135.
"""

from keras import ops

from attention_zoo.layers.normalizers import masked_softmax, widen


def dot_softmax(query, key, value, mask=None):
    """Returns `softmax(q . k) v`, whose weights are not kept for the gradients.

    Args:
        query: Tensor `(..., Tq, D)`.
        key: Tensor `(..., Tv, D)`.
        value: Tensor `(..., Tv, Dv)`.
        mask: Boolean tensor that broadcasts to `(..., Tq, Tv)`, or None.

    Returns:
        Output `(..., Tq, Dv)`.
    """

    # JAX takes no mask of a loop's step from the outside: it is an argument too.
    @ops.custom_gradient
    def attended(query, key, value, *masks):
        # TensorFlow and JAX hand over the output's gradient alone, PyTorch names it
        # and puts the arguments first.
        def gradient(*arguments, upstream=None):
            if upstream is None:
                (upstream,) = arguments
            found = _gradients(query, key, value, *masks, upstream=upstream)
            return (*found, *(None for _ in masks))

        weights = ops.cast(_weights(query, key, *masks), value.dtype)
        return ops.matmul(weights, value), gradient

    return attended(query, key, value, *(() if mask is None else (mask,)))


def _weights(query, key, mask=None):
    """Returns the weights `(..., Tq, Tv)` in at least float32."""
    # Not `matmul`: it would copy the transposed key for every block.
    scores = ops.einsum("...ik,...jk->...ij", query, key)
    return masked_softmax(widen(scores), mask)


def _gradients(query, key, value, mask=None, *, upstream):
    """Returns the gradients of `dot_softmax` for `query`, `key` and `value`.

    With weights `P = softmax(S)`, output `O = P V` and its gradient `dO`:
    `dV = P' dO`, `dP = dO V'`, `dS = P (dP - sum(dO O))`, `dQ = dS K`, `dK = dS' Q`.
    """
    weights = _weights(query, key, mask)
    low = ops.cast(weights, value.dtype)
    product = widen(ops.matmul(low, value)) * widen(upstream)
    mean = ops.sum(product, axis=-1, keepdims=True)
    raised = widen(ops.einsum("...ik,...jk->...ij", upstream, value))
    by_score = ops.cast(weights * (raised - mean), key.dtype)
    return (
        ops.matmul(by_score, key),
        ops.einsum("...ij,...ik->...jk", by_score, query),
        ops.einsum("...ij,...ik->...jk", low, upstream),
    )
