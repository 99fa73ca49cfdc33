"""The recurrence of linear attention with a state, in three equal forms.

For each head, with keys and queries of width K and values of width V,

    s_t = exp(g_t) s_{t-1} + k_t' v_t                      plain, g_t a number or K
    s_t = exp(g_t) (s_{t-1} - b_t k_t' (k_t s_{t-1})) + b_t k_t' v_t    delta rule
    y_t = q_t s_t

`log_decay` is `g`, `(B, H, T, 1)` or `(B, H, T, K)`, not above 0; `rate` is `b`,
`(B, H, T, 1)`, and None for the plain rule. The delta rule takes one decay a head.
"""

import numpy as np
from keras import ops

from attention_zoo.layers.core.loops import split_blocks


def advance(state, key, value, log_decay, rate=None):
    """Returns the state `(B, H, K, V)` after a position of `(B, H, 1, ...)`."""
    columns = ops.swapaxes(key, -2, -1)  # (B, H, K, 1)
    state = state * ops.exp(ops.swapaxes(log_decay, -2, -1))
    if rate is None:
        return state + ops.matmul(columns, value)
    return state + ops.matmul(columns, rate * (value - ops.matmul(key, state)))


def whole_weights(query, key, log_decay, rate=None):
    """Returns the weights `(B, H, T, T)` that make `y` out of the values."""
    sums = ops.cumsum(log_decay, axis=-2)
    if sums.shape[-1] == 1:
        weights = _compare(query, key, sums)
    else:  # exact for any decay, at a cost of T x T x K
        i, j = ops.expand_dims(sums, -2), ops.expand_dims(sums, -3)
        pairs = ops.expand_dims(query, -2) * ops.expand_dims(key, -3)
        lower = ops.expand_dims(_triangle(sums), -1)
        pairs = pairs * ops.exp(ops.where(lower, i - j, ops.zeros_like(i - j)))
        weights = ops.sum(ops.where(lower, pairs, ops.zeros_like(pairs)), axis=-1)
    if rate is None:
        return weights
    # weights (I + L)^-1 diag(rate), by the transposed system
    system = ops.swapaxes(_system(key, sums, rate), -2, -1)
    solved = _solve(system, ops.swapaxes(weights, -2, -1), lower=False)
    return ops.swapaxes(solved * rate, -2, -1)


def chunked_outputs(query, key, value, log_decay, rate=None, size=64):
    """Returns `y` `(B, H, T, V)` by chunks of `size` positions.

    Inside a chunk pairs are compared; what came before it is in its state, so that time
    and memory are linear in T. With decays of K numbers, `exp(-g)` summed over a chunk
    must be a float32.
    """
    total = ops.shape(query)[2]
    if isinstance(total, int) and total <= size:
        return _one_chunk(query, key, value, ops.cumsum(log_decay, axis=-2), rate)
    count = (total + size - 1) // size
    query, key, value = (split_blocks(x, -2, size, count) for x in (query, key, value))
    sums = ops.cumsum(split_blocks(log_decay, -2, size, count), axis=-2)
    whole = sums[..., -1:, :]  # (count, B, H, 1, 1 or K)
    kept = key * ops.exp(whole - sums)  # what is left of a key when its chunk ends
    rows = ops.swapaxes(kept, -2, -1)  # (count, B, H, K, size)
    if rate is None:
        new = value
        steps = ops.exp(whole) * ops.ones_like(key[..., -1:, :])
        states = _states(ops.swapaxes(steps, -2, -1), ops.matmul(rows, new))
    else:
        rate = split_blocks(rate, -2, size, count)
        both = ops.concatenate([value, key * ops.exp(sums)], axis=-1) * rate
        both = _solve(_system(key, sums, rate), both)
        width = value.shape[-1]
        new, seen = both[..., :width], both[..., width:]
        steps = ops.exp(whole) * ops.eye(key.shape[-1], dtype=key.dtype)
        states = _states(steps - ops.matmul(rows, seen), ops.matmul(rows, new))
        new = new - ops.matmul(seen, states)
    output = ops.matmul(_compare(query, key, sums), new)
    output = output + ops.matmul(query * ops.exp(sums), states)
    output = ops.moveaxis(output, 0, 2)
    shape = (*ops.shape(output)[:2], count * size, output.shape[-1])
    return ops.reshape(output, shape)[:, :, :total]


def _one_chunk(query, key, value, sums, rate):
    """Returns `y` of a sequence that one chunk holds, which has no state before it."""
    if rate is not None:
        value = _solve(_system(key, sums, rate), rate * value)
    return ops.matmul(_compare(query, key, sums), value)


def short_convolution(x, kernel, before):
    """Returns a causal convolution of each channel, and the inputs the next one needs.

    Args:
        x: Tensor `(B, T, C)`.
        kernel: Tensor `(S, C)`; its last row meets the present position.
        before: Tensor `(B, S - 1, C)`. What came before `x`.
    """
    steps, size = ops.shape(x)[1], kernel.shape[0]
    x = ops.concatenate([before, x], axis=1)
    output = sum(x[:, i : i + steps] * kernel[i] for i in range(size))
    return output, x[:, steps:]


def even_decays(shape, dtype=None):
    """Returns the logarithms of decays that start evenly from 1 to 16, `(H,)`."""
    return ops.convert_to_tensor(np.log(np.linspace(1, 16, *shape)), dtype=dtype)


def even_steps(shape, dtype=None):
    """Returns what `softplus` makes steps of from 0.001 to 0.1, evenly, `(H,)`."""
    steps = np.geomspace(0.001, 0.1, *shape)
    return ops.convert_to_tensor(np.log(np.expm1(steps)), dtype=dtype)


def _compare(query, key, sums):
    """Returns `q_i . k_j exp(sums_i - sums_j)` for `j <= i`, and 0 after."""
    lower = _triangle(sums)
    if sums.shape[-1] == 1:
        distance = sums - ops.swapaxes(sums, -2, -1)
        distance = ops.where(lower, distance, ops.zeros_like(distance))
        products = ops.matmul(query, ops.swapaxes(key, -2, -1)) * ops.exp(distance)
    else:
        raised = ops.swapaxes(key * ops.exp(-sums), -2, -1)
        products = ops.matmul(query * ops.exp(sums), raised)
    return ops.where(lower, products, ops.zeros_like(products))


def _triangle(sums):
    place = ops.arange(ops.shape(sums)[-2], dtype="int32")
    return ops.expand_dims(place, 1) >= ops.expand_dims(place, 0)


def _system(key, sums, rate):
    """Returns `I + L`: how the values that are written depend on each other."""
    products = rate * _compare(key, key, sums)
    place = ops.arange(ops.shape(sums)[-2], dtype="int32")
    diagonal = ops.expand_dims(place, 1) == ops.expand_dims(place, 0)
    return ops.where(diagonal, ops.ones_like(products), products)


def _solve(system, right, lower=True):
    return ops.solve_triangular(system, right, lower=lower)


def _states(steps, added):
    """Returns the states `s_c = steps_{c-1} s_{c-1} + added_{c-1}` before each chunk.

    Args:
        steps: Factors `(count, B, H, K, 1)`, or matrices `(count, B, H, K, K)`.
        added: Tensor `(count, B, H, K, V)`.
    """
    width = steps.shape[-1]

    def step(state, x):
        factor, new = x[..., :width], x[..., width:]
        kept = factor * state if width == 1 else ops.matmul(factor, state)
        return kept + new, state

    # In one tensor: TensorFlow's scan takes no two of unknown length.
    both = ops.concatenate([steps, added], axis=-1)
    return ops.scan(step, ops.zeros_like(added[0]), both)[1]
