"""Gradient: how much the output moves when the features of a position move a little."""

import numpy as np


def saliency(gradients):
    """Returns the length of the gradient at each position.

    Args:
        gradients: Array `(B, ..., D)` of gradients by `D` features of each position.

    Returns:
        Array `(B, ...)`, at least 0.

    References:
        - [Simonyan et al., 2014](https://arxiv.org/abs/1312.6034)
    """
    return np.sqrt(np.square(gradients).sum(axis=-1))
