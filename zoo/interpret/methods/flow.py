"""Attention flow: how much can run from the output down to each position at most."""

import numpy as np

from attention_zoo.interpret.calls import MethodError
from attention_zoo.interpret.methods.rollout import split_layers

SCALE = 10**6  # capacities are whole numbers


def flow(layers, mask):
    """Returns the largest flow from the output to each position through all layers.

    1. A self-attention `(B, T, T)`, the mean over heads, gives the pipe from position
       `q` above to position `t` below the width `A[q, t]`, where
       `A = (weights + I) / 2` with rows made to sum to 1: half runs past the layer.
    2. The output feeds the positions on top by a pooling attention `(B, T)`; without
       one each position that is no padding gets the same.
    3. The flow of a position is the largest that the pipes let through to it alone.

    Args:
        layers: List of arrays `(B, H, T, T)`, `(B, T, T)`, `(B, 1, T)` or `(B, T)` in
            the order of the calls.
        mask: Boolean array `(B, T)`, False at padding.

    Returns:
        Array `(B, T)` from 0 to 1.

    References:
        - [Abnar and Zuidema, 2020](https://arxiv.org/abs/2005.00928)
    """
    mixing, pooling = split_layers(layers, mask)
    if pooling is None:
        pooling = mask / np.maximum(mask.sum(axis=-1, keepdims=True), 1)
    found = np.zeros(mask.shape)
    for b, row in enumerate(mask):
        (seen,) = np.nonzero(row)
        pipes = []
        for weights in mixing:
            mixed = (weights[b][np.ix_(seen, seen)] + np.eye(len(seen))) / 2
            pipes.append(mixed / mixed.sum(axis=-1, keepdims=True))
        found[b, seen] = _flows(pipes, pooling[b, seen])
    return found


def _flows(pipes, pooling):
    """Returns the largest flow from the output to each of `n` positions.

    Args:
        pipes: List of arrays `(n, n)`, the lowest layer first.
        pooling: Array `(n,)`, from the output to the positions on top.
    """
    count = len(pooling)
    if not pipes:
        return pooling
    try:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import maximum_flow
    except ModuleNotFoundError:
        raise MethodError(
            "method='flow' needs SciPy: pip install 'attention-zoo[recipes]'"
        ) from None

    # Nodes: `count` positions below each layer, those on top, and the output.
    total = count * (len(pipes) + 1)
    rows, columns, widths = [], [], []
    for level, pipe in enumerate(pipes):
        above, below = np.nonzero(pipe > 0)
        rows.append((level + 1) * count + above)
        columns.append(level * count + below)
        widths.append(pipe[above, below])
    rows.append(np.full(count, total))
    columns.append(len(pipes) * count + np.arange(count))
    widths.append(pooling)
    capacity = np.round(np.concatenate(widths) * SCALE).astype("int32")
    graph = csr_array(
        (capacity, (np.concatenate(rows), np.concatenate(columns))),
        shape=(total + 1, total + 1),
    )
    found = [maximum_flow(graph, total, target).flow_value for target in range(count)]
    return np.array(found) / SCALE
