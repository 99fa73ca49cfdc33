"""Multi-head self-attention in float64 NumPy, one head and one query at a time."""

import numpy as np
from support.image_formulas import dense, softmax


def self_attention(x, weights, name, num_heads, bias=0.0, visible=None):
    """Returns output `(T, C)` and weights `(heads, T, T)` of one sequence `(T, C)`.

    Args:
        x: Array `(T, C)`.
        weights: The layer's weights; those of the attention begin with `name`.
        name: Prefix, as in `"axis_0/"`.
        num_heads: Number of heads.
        bias: Array that broadcasts to `(heads, T, T)`, added to the scores.
        visible: Boolean array `(T, T)`, or None.
    """
    query, key, value = (
        np.split(dense(x, weights, name + part), num_heads, axis=-1)
        for part in ("query", "key", "value")
    )
    bias = np.broadcast_to(bias, (num_heads, len(x), len(x)))
    attention = np.zeros((num_heads, len(x), len(x)))
    results = []
    for h in range(num_heads):
        scores = query[h] @ key[h].T / np.sqrt(query[h].shape[-1]) + bias[h]
        for t in range(len(x)):
            seen = np.arange(len(x)) if visible is None else np.flatnonzero(visible[t])
            if len(seen):
                attention[h, t, seen] = softmax(scores[t, seen], axis=0)
        results.append(attention[h] @ value[h])
    return dense(np.concatenate(results, axis=-1), weights, name + "output"), attention
