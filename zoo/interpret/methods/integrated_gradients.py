"""Integrated gradients: the gradient along the way from nothing to the input."""

import numpy as np

from attention_zoo.interpret.methods.gradient_x_input import gradient_times_input


def integrated_gradients(gradient, features, baseline=0.0, steps=32, at_once=1):
    """Returns how much each position adds on the straight way from a baseline.

    1. `x(a) = baseline + a * (features - baseline)` for `steps` middles `a` in (0, 1)
    2. The mean gradient over `x(a)`, times `features - baseline`, summed over features.

    The result adds up to the output less the output at the baseline, but for the error
    of the sum over steps.

    Args:
        gradient: Function of features `(n * B, ..., D)`, `n` batches one after the
            other, that returns the gradients there.
        features: Array `(B, ..., D)`.
        baseline: Array that stands for nothing, broadcast to the features. Defaults to
            zero.
        steps: Integer, how many points of the way. Defaults to `32`.
        at_once: Integer, how many of these points one call of `gradient` gets. Defaults
            to `1`.

    Returns:
        Array `(B, ...)`.

    References:
        - [Sundararajan et al., 2017](https://arxiv.org/abs/1703.01365)
    """
    baseline = np.broadcast_to(np.asarray(baseline, features.dtype), features.shape)
    total = np.zeros(features.shape, "float64")
    shares = ((np.arange(steps) + 0.5) / steps).astype(features.dtype)
    for start in range(0, steps, at_once):
        points = [
            baseline + share * (features - baseline)
            for share in shares[start : start + at_once]
        ]
        found = gradient(np.concatenate(points))
        total += found.reshape(len(points), *features.shape).sum(axis=0)
    return gradient_times_input(total / steps, features, baseline)
