"""Linear attention with a state in float64 NumPy, one position after the other."""

import numpy as np


def silu(x):
    return x / (1 + np.exp(-x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def masked(inputs, masks):
    """Returns the inputs with zeros at padding, and the mask `(B, T)`."""
    x = inputs["inputs"]
    mask = masks.get("mask", np.ones(x.shape[:2], bool))
    return np.where(mask[..., None], x, 0), mask


def convolution(x, kernel):
    """Returns `sum_i kernel_i x_{t - S + 1 + i}` of `(B, T, C)`."""
    size = len(kernel)
    output = np.zeros(x.shape)
    for t in range(x.shape[1]):
        for i in range(size):
            if t - size + 1 + i >= 0:
                output[:, t] += kernel[i] * x[:, t - size + 1 + i]
    return output


def heads(x, num_heads):
    """Returns `(B, T, H K)` as `(B, T, H, K)`."""
    return x.reshape(*x.shape[:2], num_heads, -1)


def recurrence(query, key, value, decay, mask, rate=None):
    """Returns `y` `(B, T, H, V)` and the weights `(B, H, T, T)`.

    The weights are read off the recurrence: `y` is linear in the values.

    Args:
        query: Array `(B, T, H, K)`.
        key: Array `(B, T, H, K)`.
        value: Array `(B, T, H, V)`.
        decay: Array that broadcasts to `(B, T, H, K)`.
        mask: Boolean array `(B, T)`.
        rate: Array `(B, T, H)`. Defaults to `None`: no delta rule.
    """
    batch, steps, num_heads, width = query.shape
    decay = np.broadcast_to(decay, query.shape)
    eye = np.eye(steps)
    y = np.zeros((batch, steps, num_heads, value.shape[-1]))
    weights = np.zeros((batch, num_heads, steps, steps))
    for b, h in np.ndindex(batch, num_heads):
        state = np.zeros((width, value.shape[-1]))
        shares = np.zeros((width, steps))
        for t in range(steps):
            q, k = query[b, t, h], key[b, t, h]
            if not mask[b, t]:
                y[b, t, h] = q @ state
                continue
            pairs = []
            for memory, new in ((state, value[b, t, h]), (shares, eye[t])):
                memory = decay[b, t, h][:, None] * memory
                if rate is None:
                    memory = memory + np.outer(k, new)
                else:
                    memory = memory + rate[b, t, h] * np.outer(k, new - k @ memory)
                pairs.append(memory)
            state, shares = pairs
            y[b, t, h] = q @ state
            weights[b, h, t] = q @ shares
    return y, weights


def layer_norm(y, epsilon=1e-6):
    mean = y.mean(axis=-1, keepdims=True)
    return (y - mean) / np.sqrt(y.var(axis=-1, keepdims=True) + epsilon)


def rms_norm(y, epsilon=1e-6):
    return y / np.sqrt((y**2).mean(axis=-1, keepdims=True) + epsilon)


def finish(y, mask, weights, gate=None):
    """Returns the output `(B, T, D)` of normalized heads `(B, T, H, V)`."""
    joined = y.reshape(*y.shape[:2], -1)
    joined = joined if gate is None else joined * silu(gate)
    output = joined @ weights["attention_output/kernel"]
    return np.where(mask[..., None], output, 0)
