"""Softmax over dot products in the one kernel that a backend has for it.

`keras.ops.dot_product_attention` neither returns weights nor drops any. It is taken
where it is faster than what this package computes itself: on PyTorch, and on JAX with a
GPU. What it does not promise is done around it: a query that sees nothing gives zeros.
"""

import contextlib
import contextvars

import keras
from keras import ops

from attention_zoo.layers.core.masks import AttentionMask, zero_padding
from attention_zoo.layers.core.normalizers import Softmax

_PATHS: contextvars.ContextVar[list | None] = contextvars.ContextVar(
    "attention_paths", default=None
)


def attention_path(layer, *args, **kwargs):
    """Calls a layer or a model and returns how its attentions were computed.

    `"fused"`: in the backend's kernel, `keras.ops.dot_product_attention`. `"blocks"`:
    in blocks of queries, with the gradient written out. `"recomputed"`: in blocks that
    are computed again for the gradient. `"whole"`: all pairs at once. Only attentions
    by a score and a normalizer are named.

    Args:
        layer: Layer or model.
        *args: What it is called on.
        **kwargs: Further arguments of the call.

    Returns:
        List of strings, one for each attention in the order of the calls.

    Example:

    ```python
    x = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.MultiHeadAttention(num_heads=3, key_dim=2)
    fast = "fused" if keras.backend.backend() == "torch" else "whole"
    assert layers.attention_path(layer, x, x, return_attention_scores=True) == ["whole"]
    assert layers.attention_path(layer, x, x)[0] in (fast, "fused")
    ```
    """
    with _collected() as paths:
        layer(*args, **kwargs)
    return paths


@contextlib.contextmanager
def _collected():
    paths = []
    token = _PATHS.set(paths)
    try:
        yield paths
    finally:
        _PATHS.reset(token)


def note_path(path):
    """Tells an open `attention_path` which path is taken."""
    paths = _PATHS.get()
    if paths is not None:
        paths.append(path)


def fits_kernel(score, normalizer, mask, query, dropout, need_weights, bias):
    """Whether a kernel for softmax over dot products computes this attention.

    Args:
        score: A `Score`.
        normalizer: A `Normalizer`.
        mask: An `AttentionMask`.
        query: Tensor `(B, Tq, D)` or `(B, H, Tq, D)`.
        dropout: Rate at which weights are dropped in this call.
        need_weights: Whether the weights are wanted.
        bias: What is added to the scores, or None.
    """
    plain = score.compares_by_dot and type(normalizer) is Softmax and bias is None
    return (
        plain and not (need_weights or dropout) and len(query.shape) == 3 + mask.heads
    )


def has_kernel(query, value, mask, blocks):
    """Whether the backend's kernel is the better way to compute this attention.

    Args:
        query: Tensor `(..., Tq, D)`.
        value: Tensor `(..., Tv, Dv)`.
        mask: An `AttentionMask`.
        blocks: Whether blocks of queries are asked for, that is memory linear in the
            length: the kernel then must not fall back to all pairs, nor be given a mask
            of all pairs that is not there yet.
    """
    same_width = value.shape[-1] == query.shape[-1]
    if keras.backend.backend() == "jax":  # whose kernel takes one width alone
        return not blocks and same_width and _has_gpu()
    if keras.backend.backend() != "torch":
        return False
    made = mask.window is not None or (mask.causal and not _only_causal(mask))
    thrifty = same_width and (mask.attention_mask is not None or not made)
    return thrifty or not blocks


def fused_attention(query, key, value, mask, flash=None):
    """Returns `softmax(q . k) v` from the backend's kernel.

    Args:
        query: Tensor `(B, Tq, D)`, or `(B, H, Tq, D)` if `mask.heads`.
        key: Tensor `(B, Tv, D)` or `(B, H, Tv, D)`.
        value: Tensor `(B, Tv, Dv)` or `(B, H, Tv, Dv)`.
        mask: An `AttentionMask`.
        flash: As `flash_attention` of `keras.ops.dot_product_attention`.

    Returns:
        Output `(B, Tq, Dv)` or `(B, H, Tq, Dv)`.
    """
    rows, length = ops.shape(query)[-2], ops.shape(key)[-2]
    causal = _only_causal(mask)
    visible = None
    if not causal:
        # A query that is padding is zeroed below: the mask of the keys stays one row.
        keys = AttentionMask(
            None,
            mask.key_mask,
            mask.attention_mask,
            mask.causal,
            mask.window,
            mask.heads,
            mask.start,
        )
        visible = keys.rows(rows, length)
    if visible is not None and not mask.heads:
        visible = ops.expand_dims(visible, 1)

    def turn(x):
        """`(B, T, D)` or `(B, H, T, D)` to `(B, T, H, D)`, and back from there."""
        return ops.swapaxes(x, 1, 2) if mask.heads else ops.expand_dims(x, 2)

    output = ops.dot_product_attention(
        turn(query),
        turn(key),
        turn(value),
        mask=visible,
        scale=1.0,  # in the query already
        is_causal=causal,
        flash_attention=flash,
    )
    output = ops.swapaxes(output, 1, 2) if mask.heads else ops.squeeze(output, 2)
    if mask.attention_mask is not None:
        seen = ops.any(visible, axis=-1, keepdims=True)
        seen = seen if mask.heads else ops.squeeze(seen, 1)
        output = ops.where(seen, output, ops.zeros_like(output))
        seen = mask.query_mask
    else:
        seen = mask.seen(rows, length)
    if seen is not None and mask.heads:
        return ops.swapaxes(zero_padding(ops.swapaxes(output, 1, 2), seen), 1, 2)
    return zero_padding(output, seen)


def _only_causal(mask):
    """Whether the order of positions is all that limits what a query of a row sees."""
    others = (mask.key_mask, mask.attention_mask, mask.window)
    start = isinstance(mask.start, int) and mask.start == 0
    return mask.causal and start and all(other is None for other in others)


def _has_gpu():
    return any(
        "cpu" not in d and "tpu" not in d for d in keras.distribution.list_devices()
    )
