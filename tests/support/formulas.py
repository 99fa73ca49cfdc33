"""Formulas that several tests share, in float64 NumPy, written from the papers."""

import numpy as np


def visible(masks, batch, rows, length):
    """Returns the `(B, Tq, Tv)` boolean mask that padding masks by name amount to."""
    mask = np.ones((batch, rows, length), bool)
    if "query_mask" in masks:
        mask &= masks["query_mask"][:, :, None]
    for name in ("value_mask", "key_mask"):
        if name in masks:
            mask &= masks[name][:, None, :]
    if "mask" in masks:  # self-attention
        mask &= masks["mask"][:, :, None] & masks["mask"][:, None, :]
    return mask


def softmax(scores, mask=None):
    """Softmax over the last axis; hidden positions and empty rows get 0."""
    mask = np.ones(scores.shape, bool) if mask is None else mask
    mask = np.broadcast_to(mask, scores.shape)
    out = np.zeros(scores.shape)
    for row in np.ndindex(scores.shape[:-1]):
        seen = mask[row]
        if seen.any():
            e = np.exp(scores[row][seen] - scores[row][seen].max())
            out[row][seen] = e / e.sum()
    return out


def per_row(function, scores, mask=None):
    """Applies `function` (1-D array -> 1-D array) to the visible part of each row."""
    mask = np.ones(scores.shape, bool) if mask is None else mask
    mask = np.broadcast_to(mask, scores.shape)
    out = np.zeros(scores.shape)
    for row in np.ndindex(scores.shape[:-1]):
        seen = mask[row]
        if seen.any():
            out[row][seen] = function(scores[row][seen])
    return out


def sparsemax_row(s):
    """Martins and Astudillo 2016, algorithm 1."""
    z = np.sort(s)[::-1]
    k = max(k for k in range(1, len(z) + 1) if 1 + k * z[k - 1] > z[:k].sum())
    return np.maximum(s - (z[:k].sum() - 1) / k, 0)


def entmax_row(s, alpha):
    """Peters et al. 2019, algorithm 1, by bisection to float64."""
    z = (alpha - 1) * s
    low, high = z.max() - 1, z.max()
    for _ in range(200):
        tau = (low + high) / 2
        p = np.maximum(z - tau, 0) ** (1 / (alpha - 1))
        low, high = (tau, high) if p.sum() >= 1 else (low, tau)
    return p / p.sum()


def one_hot_row(s):
    return np.eye(len(s))[s.argmax()]


def score(name, weights, query, key):
    """Returns s(q, k) of shape (..., Tq, Tv); `weights` maps bare names to arrays."""
    pairs = np.einsum
    if name == "dot":
        return pairs("...id,...jd->...ij", query, key)
    if name == "scaled_dot":
        return pairs("...id,...jd->...ij", query, key) / np.sqrt(query.shape[-1])
    if name == "cosine":
        lengths = np.linalg.norm(query, axis=-1)[..., :, None]
        lengths = lengths * np.linalg.norm(key, axis=-1)[..., None, :]
        dots = pairs("...id,...jd->...ij", query, key)
        return weights["scale"] * dots / np.where(lengths == 0, 1, lengths)
    if name == "general":
        return pairs("...id,de,...je->...ij", query, weights["kernel"], key)
    if name == "concat":
        rows, length = query.shape[-2], key.shape[-2]
        q = np.repeat(query[..., :, None, :], length, axis=-2)
        k = np.repeat(key[..., None, :, :], rows, axis=-3)
        both = np.concatenate([q, k], axis=-1)
        return np.tanh(both @ weights["kernel"]) @ weights["scale"]
    if name == "additive":
        q = (query @ weights["query_kernel"])[..., :, None, :]
        k = (key @ weights["key_kernel"])[..., None, :, :]
        return np.tanh(q + k + weights["bias"]) @ weights["scale"]
    if name == "location":
        return (query @ weights["kernel"] + weights["bias"])[..., : key.shape[-2]]
    raise KeyError(name)


NORMALIZERS = {
    "softmax": softmax,
    "sigmoid": lambda s, m=None: per_row(lambda r: 1 / (1 + np.exp(-r)), s, m),
    "sparsemax": lambda s, m=None: per_row(sparsemax_row, s, m),
    "entmax15": lambda s, m=None: per_row(lambda r: entmax_row(r, 1.5), s, m),
    "hardmax": lambda s, m=None: per_row(one_hot_row, s, m),
    "gumbel_softmax": lambda s, m=None: per_row(one_hot_row, s, m),
}


def bare(weights):
    """Returns weights by their last name: `additive/scale` becomes `scale`."""
    return {path.rsplit("/", 1)[-1]: w for path, w in weights.items()}
