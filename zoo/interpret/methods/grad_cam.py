"""Grad-CAM: where the channels that the output rises with are active."""

import numpy as np


def grad_cam(features, gradients):
    """Returns the map of a layer's channels, each weighted by its mean gradient.

    1. `weight_c = mean over positions of gradient[..., c]`
    2. `map = max(sum over c of weight_c * features[..., c], 0)`

    Args:
        features: Array `(B, h, w, C)`, the outputs of a layer.
        gradients: Array `(B, h, w, C)`, the gradient of the model's output by them.

    Returns:
        Array `(B, h, w)`, at least 0.

    References:
        - [Selvaraju et al., 2017](https://arxiv.org/abs/1610.02391)
    """
    weights = gradients.mean(axis=(1, 2), keepdims=True)
    return np.maximum((features * weights).sum(axis=-1), 0)
