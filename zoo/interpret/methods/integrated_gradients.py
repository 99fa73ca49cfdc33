"""Integrated gradients: the gradient along the way from nothing to the input."""

import numpy as np

from attention_zoo.interpret.methods.gradient_x_input import gradient_times_input


def integrated_gradients(gradient, features, baseline=0.0, steps=32):
    """Returns how much each position adds on the straight way from a baseline.

    1. `x(a) = baseline + a * (features - baseline)` for `steps` middles `a` in (0, 1)
    2. The mean gradient over `x(a)`, times `features - baseline`, summed over features.

    The result adds up to the output less the output at the baseline, but for the error
    of the sum over steps.

    Args:
        gradient: Function of features `(B, ..., D)` that returns the gradients there.
        features: Array `(B, ..., D)`.
        baseline: Array that stands for nothing, broadcast to the features. Defaults to
            zero.
        steps: Integer, how many points of the way. Defaults to `32`.

    Returns:
        Array `(B, ...)`.

    References:
        - [Sundararajan et al., 2017](https://arxiv.org/abs/1703.01365)
    """
    baseline = np.broadcast_to(np.asarray(baseline, features.dtype), features.shape)
    total = np.zeros(features.shape, "float64")
    for step in range(steps):
        share = np.asarray((step + 0.5) / steps, features.dtype)
        total += gradient(baseline + share * (features - baseline))
    return gradient_times_input(total / steps, features, baseline)
