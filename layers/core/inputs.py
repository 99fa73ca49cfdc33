"""What layers do with their inputs before they compute."""

import keras
from keras import ops


def cast_integers(x, dtype):
    """Returns `x` in `dtype` where it holds integers or booleans, else as it is."""
    kind = keras.backend.standardize_dtype(x.dtype)
    return ops.cast(x, dtype) if kind == "bool" or "int" in kind else x


def check_not_empty(owner, **shapes):
    """Raises `ValueError` where an axis after the batch is known to have size 0."""
    for name, shape in shapes.items():
        if 0 in tuple(shape)[1:]:
            raise ValueError(
                f"`{owner}` expects `{name}` with at least one element along each axis "
                f"but the batch. Received: {name}.shape={tuple(shape)}"
            )


def broadcast_mask(mask, x):
    """Returns a mask with axes of size 1 as one of the shape of the first axes of `x`.

    Args:
        mask: Boolean tensor such as `(B, T)`, `(B, 1)` or `(1, T)`, or None.
        x: Tensor `(B, T, ...)`.
    """
    if mask is None or 1 not in mask.shape:
        return mask
    rank = len(mask.shape)
    if tuple(mask.shape) == tuple(x.shape[:rank]):
        return mask
    return ops.broadcast_to(mask, ops.shape(x)[:rank])


def max_or_zeros(x, axis, keepdims=False):
    """Returns the maximum over `axis`, without elements where `x` has none.

    `ops.max` refuses an empty tensor even where the axis itself is not empty.
    """
    if 0 in tuple(x.shape):
        return ops.sum(x, axis=axis, keepdims=keepdims)
    return ops.max(x, axis=axis, keepdims=keepdims)
