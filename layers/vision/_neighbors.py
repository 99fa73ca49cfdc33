"""Which positions of a map lie around each: indices into the flat map."""

import numpy as np
from keras import ops


def nearest(size, kernel_size):
    """Returns the `kernel_size` nearest places of each on an axis, and their offsets.

    At the ends the neighborhood is shifted, so that each place has as many neighbors:
    K, the lesser of `kernel_size` and `size`.

    Args:
        size: Integer or scalar tensor. Number of places.
        kernel_size: Odd integer.

    Returns:
        Integer tensors `(size, K)`: the places, from 0, and how far each lies off, from
        `1 - kernel_size` to `kernel_size - 1`.
    """
    here = ops.expand_dims(ops.arange(size, dtype="int32"), 1)
    kept = lesser(size, kernel_size)
    first = ops.minimum(ops.maximum(here - kernel_size // 2, 0), size - kept)
    places = first + ops.expand_dims(ops.arange(kept, dtype="int32"), 0)
    return places, places - here


def lesser(size, most):
    """Returns `min(size, most)` of an integer or a scalar tensor."""
    return min(size, most) if isinstance(size, int) else ops.minimum(size, most)


def neighborhoods(sizes, kernel_size):
    """Returns the neighbors of each position of a map, and which offset each has.

    Args:
        sizes: The sizes of the map's axes, integers or scalar tensors.
        kernel_size: Odd integer.

    Returns:
        Integer tensors `(N, K)`: indices into the N positions of the flat map, and into
        the `(2 kernel_size - 1) ** rank` offsets.
    """
    count = 2 * kernel_size - 1
    index = offset = np.zeros((1, 1), "int32")
    rows, kept = 1, 1
    for size in sizes:
        places, offsets = nearest(size, kernel_size)
        index = _joined(index * size, places)
        offset = _joined(offset * count, offsets + kernel_size - 1)
        rows, kept = rows * size, kept * lesser(size, kernel_size)
        index = ops.reshape(index, (rows, kept))
        offset = ops.reshape(offset, (rows, kept))
    return index, offset


def _joined(outer, inner):
    """Returns the sums of each row and column of two tables, `(R, S, K, L)`."""
    outer = ops.expand_dims(ops.expand_dims(outer, 1), -1)
    return outer + ops.expand_dims(ops.expand_dims(inner, 0), -2)
