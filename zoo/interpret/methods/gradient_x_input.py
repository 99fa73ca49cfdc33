"""Gradient times input: the output's slope along the features that are there."""


def gradient_times_input(gradients, features, baseline=0.0):
    """Returns the first-order effect of each position against a baseline.

    Args:
        gradients: Array `(B, ..., D)` of gradients by the features.
        features: Array `(B, ..., D)`.
        baseline: Array that stands for nothing, broadcast to the features. Defaults to
            zero.

    Returns:
        Array `(B, ...)`, below 0 where a position speaks against the output.

    References:
        - [Shrikumar et al., 2016](https://arxiv.org/abs/1605.01713)
    """
    return ((features - baseline) * gradients).sum(axis=-1)
