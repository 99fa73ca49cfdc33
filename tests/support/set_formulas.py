"""The blocks of the set layers in float64 NumPy, one row and one head at a time."""

import math

import numpy as np
from support.formulas import softmax


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2


def norm(x, weights, name, epsilon=1e-6):
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def dense(x, weights, name):
    return x @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0.0)


def feed(x, weights, name, activation=relu):
    hidden = activation(dense(x, weights, f"{name}/hidden"))
    return dense(hidden, weights, f"{name}/output")


def multi_head(x, y, weights, name, mask=None):
    """Vaswani et al. 2017, section 3.2.2; without anything to see, zeros."""

    def heads(z, part):
        kernel, bias = (weights[f"{name}/{part}/{w}"] for w in ("kernel", "bias"))
        return np.einsum("btd,dhk->bhtk", z, kernel) + bias[:, None]

    query, key, value = heads(x, "query"), heads(y, "key"), heads(y, "value")
    scores = np.einsum("bhtk,bhsk->bhts", query, key) / np.sqrt(query.shape[-1])
    mask = np.ones(y.shape[:2], bool) if mask is None else mask
    shares = softmax(scores, mask[:, None, None])
    output = np.einsum(
        "bhtk,hkd->btd", shares @ value, weights[f"{name}/attention_output/kernel"]
    )
    output = output + weights[f"{name}/attention_output/bias"]
    return np.where(mask.any(axis=1)[:, None, None], output, 0), shares


def mab(x, y, weights, name, mask=None):
    """Lee et al. 2019, equations 6 and 7."""
    attended, shares = multi_head(x, y, weights, f"{name}/attention", mask)
    h = norm(x + attended, weights, f"{name}/attention_norm")
    return norm(
        h + feed(h, weights, f"{name}/feed_forward"),
        weights,
        f"{name}/feed_forward_norm",
    ), shares


def mask_of(inputs, masks):
    return masks.get("mask", np.ones(inputs["inputs"].shape[:2], bool))
