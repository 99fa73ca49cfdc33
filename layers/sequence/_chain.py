"""A linear chain of tags: sums and maxima over all paths, in logarithms."""

from keras import ops

LOWEST = -1e9  # of a path that is not allowed: its exponential is 0


def chain_inputs(emissions, mask):
    """Returns what a scan along a chain takes, `(T, B, N + 2)`, and the mask `(B, T)`.

    Behind the emissions stand, as 0 or 1, whether a position counts and whether it is
    the first one that does.
    """
    if mask is None:
        mask = ops.ones_like(emissions[..., 0], dtype="bool")
    seen = ops.cast(mask, emissions.dtype)
    first = seen * ops.cast(ops.cumsum(seen, axis=1) == 1, emissions.dtype)
    flags = ops.stack([seen, first], axis=-1)
    both = ops.concatenate([emissions, flags], axis=-1)
    return ops.swapaxes(both, 0, 1), mask


def forward_scores(xs, transitions, start):
    """Returns the log of the sum over paths that end in a tag, at all positions.

    Args:
        xs: Tensor `(T, B, N + 2)` out of `chain_inputs`.
        transitions: Tensor `(N, N)`, the score of going from a row to a column.
        start: Tensor `(N,)`, the score of beginning with a tag.

    Returns:
        Tensor `(T, B, N)`.
    """

    def step(alpha, x):
        emission, seen, first = x[:, :-2], x[:, -2:-1] > 0, x[:, -1:] > 0
        paths = ops.expand_dims(alpha, -1) + transitions
        moved = ops.where(first, start, ops.logsumexp(paths, axis=1))
        alpha = ops.where(seen, moved + emission, alpha)
        return alpha, alpha

    return ops.scan(step, ops.zeros_like(xs[0, :, :-2]), xs)[1]


def backward_scores(xs, transitions, end):
    """Returns the log of the sum over what follows a tag, `(T, B, N)`."""

    def step(beta, x):
        emission, seen, first = x[:, :-2], x[:, -2:-1] > 0, x[:, -1:] > 0
        paths = transitions + ops.expand_dims(beta + emission, 1)
        moved = ops.where(seen, ops.logsumexp(paths, axis=-1), beta)
        return ops.where(first, beta, moved), beta

    first = ops.zeros_like(xs[0, :, :-2]) + end
    return ops.scan(step, first, xs, reverse=True)[1]


def log_partition(xs, mask, transitions, start, end):
    """Returns the log of the sum over all paths, `(B,)`, and 0 for an empty row."""
    alpha = forward_scores(xs, transitions, start)[-1]
    total = ops.logsumexp(alpha + end, axis=-1)
    return ops.where(ops.any(mask, axis=1), total, ops.zeros_like(total))


def best_path(xs, transitions, start, end):
    """Returns the tags of the path with the largest sum, `(B, T)`: Viterbi."""
    # All as floats: TensorFlow's scan stacks tensors of the dtype of `xs` alone.
    own = ops.cast(ops.arange(xs.shape[-1] - 2, dtype="int32"), xs.dtype)

    def step(score, x):
        emission, seen, first = x[:, :-2], x[:, -2:-1] > 0, x[:, -1:] > 0
        paths = ops.expand_dims(score, -1) + transitions
        came = ops.cast(ops.argmax(paths, axis=1), xs.dtype)
        moved = ops.where(first, start, ops.max(paths, axis=1))
        moves = ops.logical_and(seen, ops.logical_not(first))
        return ops.where(seen, moved + emission, score), ops.where(moves, came, own)

    score, came = ops.scan(step, ops.zeros_like(xs[0, :, :-2]), xs)

    def back(tag, pointers):
        before = ops.take_along_axis(pointers, ops.cast(tag, "int32"), axis=1)
        return before, tag

    last = ops.cast(ops.argmax(score + end, axis=-1, keepdims=True), xs.dtype)
    tags = ops.scan(back, last, came, reverse=True)[1]
    return ops.cast(ops.swapaxes(tags[..., 0], 0, 1), "int32")
