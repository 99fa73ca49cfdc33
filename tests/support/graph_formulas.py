"""Graph attention in float64 NumPy, one edge at a time."""

import numpy as np


def leaky_relu(x, slope=0.2):
    return np.where(x > 0, x, slope * x)


def edges_of(inputs, masks, graph, loops):
    """Returns the list of visible (position in the weights, source, target)."""
    batch, nodes = inputs["inputs"].shape[:2]
    shown = masks.get("inputs_mask", np.ones((batch, nodes), bool))[graph]
    if "adjacency" in inputs:
        matrix = inputs["adjacency"].reshape(-1, nodes, nodes)[graph] != 0
        matrix = matrix | np.eye(nodes, dtype=bool) if loops else matrix
        found = [((i, j), j, i) for i, j in zip(*np.nonzero(matrix), strict=True)]
    else:
        edges = inputs["edges"].astype(int)[graph]
        given = masks.get("edges_mask", np.ones((batch, len(edges)), bool))[graph]
        found = [
            (n, s, t)
            for n, (s, t) in enumerate(edges)
            if given[n] and not (loops and s == t)
        ]
        if loops:
            found += [(len(edges) + n, n, n) for n in range(nodes)]
    return [(at, s, t) for at, s, t in found if shown[s] and shown[t]]


def attend(score, values, bias, combine, loops, inputs, masks):
    """Returns the output and the weights.

    Args:
        score: Function `score(graph, source, target)` to the scores `(H,)`.
        values: Array `(B, N, H, K)`.
        bias: Array of the output's width.
        combine: `"concat"` or `"mean"`.
        loops: Whether there are self-loops.
        inputs: Dict with `inputs` `(B, N, D)` and `edges` `(B, E, 2)` or `adjacency`.
        masks: Dict of `inputs_mask` and `edges_mask`.
    """
    batch, nodes, heads, units = values.shape
    length = (nodes, nodes)
    if "edges" in inputs:
        length = (inputs["edges"].shape[1] + loops * nodes,)
    weights = np.zeros((batch, heads, *length))
    output = np.zeros(values.shape)
    for b in range(batch):
        edges = edges_of(inputs, masks, b, loops)
        for target in range(nodes):
            own = [(at, s) for at, s, t in edges if t == target]
            if not own:
                continue
            powers = np.exp([score(b, s, target) for _, s in own])  # (edges, H)
            shares = powers / powers.sum(axis=0)
            for share, (at, s) in zip(shares, own, strict=True):
                index = at if isinstance(at, tuple) else (at,)
                weights[(b, slice(None), *index)] = share
                output[b, target] += share[:, None] * values[b, s]
    if combine == "mean":
        output = output.mean(axis=2)
    else:
        output = output.reshape(batch, nodes, heads * units)
    output = output + bias
    if "inputs_mask" in masks:
        output[~masks["inputs_mask"]] = 0
    return output, weights


def alone(formula):
    """Returns the formula of a batch as one for a graph without the batch's axis."""

    def compute(weights, inputs, masks):
        inputs = {name: x[None] for name, x in inputs.items()}
        masks = {name: m[None] for name, m in masks.items()}
        output, scores = formula(weights, inputs, masks)
        return output[0], scores[0]

    return compute
