"""Losses in which rare classes count as much as frequent ones."""

import keras
import numpy as np
from keras import ops


def balanced(labels, count):
    """Returns the weight of each class, in inverse proportion to how often it occurs.

    Args:
        labels: Integer array `(N,)`.
        count: Integer `C`, how many classes there are.

    Returns:
        Float32 array `(C,)`, `N / (C * n)` for a class that occurs `n` times; its mean
        over the examples is 1.
    """
    counts = np.bincount(labels, minlength=count)
    return (len(labels) / (count * np.maximum(counts, 1))).astype("float32")


def balanced_labels(labels):
    """Returns the weights of a label's presence and absence.

    Args:
        labels: Array `(N, C)` of 0 and 1.

    Returns:
        Two float32 arrays `(C,)`: `N / (2 * n)` for `n` examples that have the label,
        and the same for those that lack it.
    """
    present = np.asarray(labels).sum(axis=0)
    sides = (present, len(labels) - present)
    found = [len(labels) / (2 * np.maximum(side, 1)) for side in sides]
    return tuple(weights.astype("float32") for weights in found)


def one_class(weights, smoothing=0.0):
    """Returns the cross-entropy in which each example counts by its class.

    Args:
        weights: Array `(C,)`.
        smoothing: Float, share of the target spread over all classes.
    """

    def balanced_crossentropy(y_true, y_pred):
        loss = keras.losses.categorical_crossentropy(
            y_true, y_pred, label_smoothing=smoothing
        )
        return loss * ops.sum(y_true * ops.convert_to_tensor(weights), axis=-1)

    return balanced_crossentropy


def many_labels(present, absent, smoothing=0.0):
    """Returns the binary cross-entropy in which each label counts by its rarity.

    Args:
        present: Array `(C,)`, the weights of texts that have a label.
        absent: Array `(C,)`, the weights of those that lack it.
        smoothing: Float, share of the target spread over yes and no.
    """

    def balanced_crossentropy(y_true, y_pred):
        weights = y_true * ops.convert_to_tensor(present)
        weights += (1 - y_true) * ops.convert_to_tensor(absent)
        target = y_true * (1 - smoothing) + smoothing / 2
        loss = ops.binary_crossentropy(target, y_pred)
        return ops.mean(loss * weights, axis=-1)

    return balanced_crossentropy
