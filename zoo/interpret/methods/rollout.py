"""Attention rollout: attention followed through the layers down to the input."""

import numpy as np


def rollout(layers, mask):
    """Returns how much of each position reaches the output through all layers.

    1. A self-attention `(B, T, T)`, the mean over heads, takes half of each position
       from the residual connection: `A = (weights + I) / 2`, rows made to sum to 1.
    2. `R = A_n ... A_2 A_1`, the first layer rightmost.
    3. A pooling attention `(B, T)` at the end weighs the rows of `R`; without one it is
       the mean over the rows that are no padding.

    Args:
        layers: List of arrays `(B, H, T, T)`, `(B, T, T)`, `(B, 1, T)` or `(B, T)` in
            the order of the calls.
        mask: Boolean array `(B, T)`, False at padding.

    Returns:
        Array `(B, T)`, which sums to 1 where there is a position at all.

    References:
        - [Abnar and Zuidema, 2020](https://arxiv.org/abs/2005.00928)
    """
    mixing, pooling = split_layers(layers, mask)
    eye = np.eye(mask.shape[1])
    total = np.broadcast_to(eye, (len(mask), *eye.shape))
    for weights in mixing:
        mixed = (weights + eye) / 2
        total = mixed / mixed.sum(axis=-1, keepdims=True) @ total
    return pool(total, pooling, mask)


def split_layers(layers, mask):
    """Returns the self-attentions `(B, T, T)`, and the last pooling `(B, T)` or None.

    Heads are averaged and padded positions have no weight.
    """
    mixing, pooling = [], None
    for weights in layers:
        weights = np.asarray(weights, "float64")
        if weights.ndim == 4:
            weights = weights.mean(axis=1)
        if weights.ndim == 3 and weights.shape[1] == 1 != mask.shape[1]:
            weights = weights[:, 0]
        if weights.ndim == 3:
            mixing.append(weights * mask[:, :, None] * mask[:, None])
        else:
            pooling = weights * mask
    return mixing, pooling


def pool(total, pooling, mask):
    """Returns rows `(B, T, T)` weighed by a pooling, or by the mean without one."""
    if pooling is None:
        pooling = mask / np.maximum(mask.sum(axis=-1, keepdims=True), 1)
    found = np.einsum("bq,bqt->bt", pooling, total) * mask
    return found
