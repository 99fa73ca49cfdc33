"""Sequences in blocks, one after the other, alike on every backend."""

from keras import ops


def sequential_map(function, like, xs):
    """Returns `function(x, index)` for every `x` along the first axis, stacked.

    `ops.map`, but on TensorFlow one step at a time: its map runs ten at once, and so
    holds ten times what a step holds.

    Args:
        function: Function of an `x` and its index.
        like: Tensor, or tuple of them, of the shape and dtype of what it returns.
        xs: Tensor. One alone: TensorFlow's scan takes no two of unknown length.
    """

    def step(carry, x):
        index = carry[1]
        carry = function(x, index), index + 1
        return carry, carry

    first = ops.convert_to_tensor(0, dtype="int32")
    return ops.scan(step, (like, first), xs)[1][0]


def minimum(a, b):
    """Returns the smaller of two sizes; TensorFlow knows some when it runs only."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return ops.minimum(a, b)


def pad_to(x, axis, size):
    """Returns `x` with zeros at the end of `axis`, up to `size`."""
    axis += len(x.shape) if axis < 0 else 0
    shape = list(ops.shape(x))
    missing = size - shape[axis]
    if isinstance(missing, int) and missing == 0:
        return x
    zeros = ops.zeros((*shape[:axis], missing, *shape[axis + 1 :]), dtype=x.dtype)
    return ops.concatenate([x, zeros], axis=axis)


def split_blocks(x, axis, rows, count):
    """Cuts `axis` into `count` blocks of `rows`, padded; blocks come first."""
    axis += len(x.shape) if axis < 0 else 0
    x = pad_to(x, axis, count * rows)
    shape = list(ops.shape(x))
    x = ops.reshape(x, (*shape[:axis], count, rows, *shape[axis + 1 :]))
    return ops.moveaxis(x, axis, 0)
