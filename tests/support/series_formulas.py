"""Formulas that the tests of series layers share, in float64 NumPy, a row at a time."""

import numpy as np


def project(x, weights, name):
    """Returns the heads `(H, T, K)` of one row `(T, D)`."""
    heads = np.einsum("td,dhk->htk", x, weights[f"{name}/kernel"])
    bias = weights.get(f"{name}/bias")
    return heads if bias is None else heads + bias[:, None]


def join(heads, weights):
    """Returns the output `(T, D)` of heads `(H, T, K)`."""
    output = np.einsum("htk,hko->to", heads, weights["attention_output/kernel"])
    return output + weights.get("attention_output/bias", 0.0)


def rows(inputs, masks):
    """Yields `b, queries, keys, q, k, v` of each row in which anything is seen.

    `queries` and `keys` are the positions that are not padding, and `q`, `k`, `v` the
    inputs `(T, D)` there.
    """
    query = inputs["query"]
    value = inputs.get("value", query)
    key = inputs.get("key", value)
    for b in range(len(query)):
        there_q = np.ones(query.shape[1], bool)
        if "query_mask" in masks:
            there_q &= masks["query_mask"][b]
        there_k = np.ones(value.shape[1], bool)
        if "value" not in inputs:
            there_k &= there_q
        for name in ("value_mask", "key_mask"):
            if name in masks:
                there_k &= masks[name][b]
        queries, keys = np.flatnonzero(there_q), np.flatnonzero(there_k)
        if len(queries) and len(keys):
            yield b, queries, keys, query[b, queries], key[b, keys], value[b, keys]
