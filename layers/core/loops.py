"""Sequences in blocks, one after the other, alike on every backend."""

import keras
from keras import ops


class StepLoop:
    """What Keras's own recurrent loop needs to know: steps forward, outputs of all.

    It stands for `keras.ops.scan`, whose gradient does not compile with XLA on
    TensorFlow.
    """

    go_backwards = stateful = unroll = zero_output_for_mask = False
    return_sequences = True
    inner_loop = keras.layers.RNN.inner_loop

    def __init__(self, cell):
        self.cell = cell


def recomputed_map(function, like, xs):
    """As `sequential_map`, for a function whose gradients are TensorFlow's own.

    Each step waits for the one before, so that one alone is held.
    """
    if keras.backend.backend() != "tensorflow":
        return sequential_map(function, like, xs)

    def cell(x, states):
        output, index = function(x, states[0]), states[0] + 1
        waited = ops.any(ops.isnan(output))
        return output, [ops.where(waited, index, index)]

    first = ops.convert_to_tensor(0, dtype="int32")
    outputs = StepLoop(cell).inner_loop(ops.moveaxis(xs, 0, 1), [first], None)[1]
    outputs = ops.moveaxis(outputs, 1, 0)
    return ops.reshape(outputs, (ops.shape(xs)[0], *ops.shape(like)))


def sequential_map(function, like, xs):
    """Returns `function(x, index)` for every `x` along the first axis, stacked.

    `ops.map`, but on TensorFlow one step at a time: its map runs ten at once, and so
    holds ten times what a step holds. Its gradient does not compile with XLA there.

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
