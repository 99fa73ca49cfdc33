"""Spearman's rank correlation: whether two scores put parts in one order."""

import numpy as np


def rank_correlation(a, b):
    """Returns Spearman's rank correlation of two vectors, NaN where one is constant.

    Args:
        a: Array `(n,)`.
        b: Array `(n,)`.

    Returns:
        A float in `[-1, 1]`, or NaN.
    """
    if len(a) < 2:
        return float("nan")
    a, b = _ranks(a), _ranks(b)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def _ranks(values):
    """Returns the rank of each value; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
