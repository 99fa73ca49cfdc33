"""Attention times gradient: the attention that the output rises with, by layers."""

import numpy as np

from attention_zoo.interpret.methods.rollout import pool, split_layers


def attention_times_gradient(layers, gradients, mask):
    """Returns the relevance of each position through all attention layers.

    1. `A = max(weights * gradient, 0)`, the mean over heads, in each layer.
    2. `R = I` at first; after a self-attention `(B, T, T)`, `R = R + A R`.
    3. A pooling attention `(B, T)` at the end weighs the rows of `R` by its `A`;
       without one it is the mean over the rows that are no padding.

    Args:
        layers: List of arrays `(B, H, T, T)`, `(B, T, T)`, `(B, 1, T)` or `(B, T)`,
            the weights in the order of the calls.
        gradients: List of arrays in the same shapes: the gradient of the output by the
            weights.
        mask: Boolean array `(B, T)`, False at padding.

    Returns:
        Array `(B, T)`, at least 0.

    References:
        - [Chefer et al., 2021](https://arxiv.org/abs/2103.15679)
    """
    relevant = [
        np.maximum(np.asarray(w, "float64") * g, 0)
        for w, g in zip(layers, gradients, strict=True)
    ]
    mixing, pooling = split_layers(relevant, mask)
    eye = np.eye(mask.shape[1])
    total = np.broadcast_to(eye, (len(mask), *eye.shape))
    for weights in mixing:
        total = total + weights @ total
    if pooling is None:
        total = total - eye  # what each position kept of itself says nothing
    return pool(total, pooling, mask)
