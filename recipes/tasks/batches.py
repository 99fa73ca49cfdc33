"""Batches of sequences of like length, so that little is padding."""

import numpy as np
import tensorflow as tf


def by_length(lengths, size, rng, jitter=15):
    """Returns lists of indices, each a batch of like lengths.

    Args:
        lengths: The length of each example.
        size: Number of examples in a batch.
        rng: NumPy generator that jitters the lengths, lets the odd batch fall
            anywhere and shuffles the batches. None keeps the plain order.
        jitter: How far a length is moved at most.
    """
    lengths = np.asarray(lengths, dtype="float64")
    if rng is None:
        order = np.argsort(lengths, kind="stable")
        return [order[i : i + size] for i in range(0, len(order), size)]
    moved = lengths + rng.uniform(-jitter, jitter, len(lengths))
    order = np.argsort(moved, kind="stable")
    odd = len(order) % size
    at = size * rng.integers(0, len(order) // size + 1)  # where the odd batch lies
    cuts = [
        c if c <= at else c - size + odd for c in range(size, len(order) + size, size)
    ]
    batches = np.split(order, cuts[:-1]) if odd else np.split(order, len(order) // size)
    return [batches[i] for i in rng.permutation(len(batches))]


def pad(rows, multiple=16):
    """Stacks id arrays into `(B, T)`, T rounded up so that few shapes occur."""
    longest = max(1, max(len(row) for row in rows))
    batch = np.zeros((len(rows), -(-longest // multiple) * multiple), "int32")
    for target, row in zip(batch, rows, strict=True):
        target[: len(row)] = row
    return batch


def predictor(model, batch_size=256):
    """Returns a function from inputs to outputs that is traced once.

    Args:
        model: A model of raw strings or of token ids.
        batch_size: Number of inputs of like length that are computed together.

    Returns:
        Function from a list of bytes or strings, or of integer arrays `(T,)`, to the
        array of their outputs, in their order.
    """
    (given,) = model.inputs
    step = tf.function(
        lambda batch: model(batch, training=False),
        input_signature=[tf.TensorSpec(given.shape, given.dtype)],
    )

    def compute(inputs):
        outputs: list = [None] * len(inputs)
        for rows in by_length([len(value) for value in inputs], batch_size, None):
            batch = [inputs[i] for i in rows]
            batch = tf.constant(batch if given.dtype == "string" else pad(batch))
            for i, output in zip(rows, step(batch).numpy(), strict=True):
                outputs[i] = output
        return np.stack(outputs)

    return compute
