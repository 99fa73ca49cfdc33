"""Attention times the size of what is looked at: a weight on nothing says nothing."""

import numpy as np


def value_norms(weights, values):
    """Returns how long the vector is that each position adds to each query's output.

    `norm[q, t] = || sum over h of weights[h, q, t] * values[h, t] ||`

    Args:
        weights: Array `(B, H, Tq, T)` of attention weights.
        values: Array `(B, H, T, D)`, each position's vector as it stands in the output
            of head `h`: projected by the value's and by the output's kernel.

    Returns:
        Array `(B, Tq, T)`, at least 0.

    References:
        - [Kobayashi et al., 2020](https://arxiv.org/abs/2004.10102)
    """
    found = []
    for one, vectors in zip(weights, values, strict=True):
        squares = np.zeros(one.shape[1:])
        for t in range(one.shape[-1]):  # (Tq, D) at once, not (Tq, T, D)
            added = one[:, :, t].T @ vectors[:, t]
            squares[:, t] = np.square(added).sum(axis=-1)
        found.append(np.sqrt(squares))
    return np.array(found)


def values_of_heads(inputs, value=None, output=None, heads=1):
    """Returns each position's vector as it stands in the output of each head.

    Args:
        inputs: Array `(B, T, E)`, what the layer takes as its value.
        value: Kernel `(E, H, K)` or `(E, K)` and bias `(H, K)` or `(K,)`, or None for
            a layer without.
        output: Kernel `(H, K, ...)`, or None for a layer without.
        heads: Integer, the number of heads; fewer heads of values serve as many each.
            Defaults to `1`.

    Returns:
        Array `(B, heads, T, D)`.
    """
    vectors = np.asarray(inputs, "float64")[:, None]  # (B, 1, T, E)
    if value is not None:
        kernel, bias = value
        if kernel.ndim == 2:
            kernel = kernel[:, None]
        vectors = np.einsum("bte,ehk->bhtk", vectors[:, 0], kernel)
        vectors = vectors + np.reshape(bias, (-1, 1, kernel.shape[-1]))
    vectors = np.repeat(vectors, heads // vectors.shape[1], axis=1)
    if output is not None:
        output = output.reshape(*output.shape[:2], -1)
        vectors = np.einsum("bhtk,hkd->bhtd", vectors, output)
    return vectors
