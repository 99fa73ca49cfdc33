"""Formulas that the vision tests share, in float64 NumPy, channels last."""

import itertools

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def positions(x):
    """Returns `x` `(B, ..., C)` as `(B, N, C)`."""
    return x.reshape(len(x), -1, x.shape[-1])


def spread(vector, x):
    """Returns `vector` `(B, C)` with axes of 1 for the positions of `x`."""
    return vector.reshape(len(x), *[1] * (x.ndim - 2), vector.shape[-1])


def dense(x, weights, name):
    y = np.einsum("...c,cd->...d", x, weights[f"{name}/kernel"])
    return y + weights.get(f"{name}/bias", 0.0)


def batch_norm(x, weights, name):
    """Batch normalisation with moving statistics, Keras's epsilon of 0.001."""
    centred = x - weights[f"{name}/moving_mean"]
    scaled = centred / np.sqrt(weights[f"{name}/moving_variance"] + 1e-3)
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def layer_norm(x, weights, name):
    """Layer normalisation over the channels, Keras's epsilon of 0.001."""
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-3)
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def convolve(x, kernel, stride=1, dilation=1, groups=1):
    """A convolution with zeros around it, one offset of the kernel at a time.

    The output has size / stride positions, rounded up; what that leaves over of padding
    goes half before and half after, the odd one after.

    Args:
        x: Array `(B, ..., C)`.
        kernel: Array `(..., C / groups, F)`; `(..., C, 1)` with `groups=C`.
    """
    sizes, reach = x.shape[1:-1], kernel.shape[:-2]
    out = [-(-n // stride) for n in sizes]
    pad = [
        max((o - 1) * stride + (k - 1) * dilation + 1 - n, 0)
        for o, k, n in zip(out, reach, sizes, strict=True)
    ]
    x = np.pad(x, [(0, 0), *[(p // 2, p - p // 2) for p in pad], (0, 0)])
    parts = []
    for g, block in enumerate(np.split(x, groups, axis=-1)):
        if kernel.shape[-1] == 1 and groups > 1:  # depthwise
            w = kernel[..., g : g + 1, :]
        else:
            w = np.split(kernel, groups, axis=-1)[g]
        total = 0.0
        for offset in itertools.product(*map(range, reach)):
            window = tuple(
                slice(o * dilation, o * dilation + (n - 1) * stride + 1, stride)
                for o, n in zip(offset, out, strict=True)
            )
            total = total + block[(slice(None), *window)] @ w[offset]
        parts.append(total)
    return np.concatenate(parts, axis=-1)


def convolution(x, weights, name, **options):
    kernel = weights[f"{name}/kernel"]
    if kernel.shape[-1] == 1 and options.pop("depthwise", False):
        options["groups"] = x.shape[-1]
    return convolve(x, kernel, **options) + weights.get(f"{name}/bias", 0.0)
