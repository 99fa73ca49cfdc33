"""The entmax family: rows of weights with exact zeros, as pure functions.

All take scores `(..., Tq, Tv)` and a boolean mask that broadcasts to them, or None.
"""

from keras import ops

from attention_zoo.layers.core.inputs import max_or_zeros

LOWEST = -3.0e38  # below any score that float32 holds, and finite


def hide(weights, mask):
    """Returns `weights` with exact zeros where `mask` is False."""
    return (
        weights if mask is None else ops.where(mask, weights, ops.zeros_like(weights))
    )


def shift_to_zero(scores, mask=None, floor=-2.0):
    """Returns scores minus their row's maximum; hidden and far positions at `floor`.

    In the entmax family a position more than 1 below the maximum has no weight,
    so that `floor` keeps it out without infinities.
    """
    if mask is not None:
        scores = ops.where(mask, scores, LOWEST)
    top = ops.stop_gradient(max_or_zeros(scores, axis=-1, keepdims=True))
    return ops.maximum(scores - top, floor)


def sparsemax(scores, mask=None):
    """Euclidean projection of a row onto the simplex, `max(s - tau, 0)`.

    Martins and Astudillo 2016, https://arxiv.org/abs/1602.02068.
    """
    z = shift_to_zero(scores, mask)
    ordered = ops.flip(ops.sort(ops.stop_gradient(z), axis=-1), -1)
    rank = ops.cumsum(ops.ones_like(ordered), axis=-1)
    size = ops.sum(
        ops.cast(1 + rank * ordered > ops.cumsum(ordered, axis=-1), z.dtype),
        axis=-1,
        keepdims=True,
    )
    total = ops.sum(ops.where(rank <= size, ordered, 0.0), axis=-1, keepdims=True)
    threshold = (total - 1) / ops.maximum(size, 1)
    support = ops.cast(ops.stop_gradient(z) > threshold, z.dtype)
    # The same threshold again, from the support, so that gradients flow through it.
    count = ops.maximum(ops.sum(support, axis=-1, keepdims=True), 1)
    tau = (ops.sum(support * z, axis=-1, keepdims=True) - 1) / count
    return hide(ops.maximum(z - tau, 0) * support, mask)


def entmax15(scores, mask=None):
    """1.5-entmax, between softmax and sparsemax, by its closed form.

    Peters et al. 2019, https://arxiv.org/abs/1905.05702.
    """
    z = shift_to_zero(scores / 2, mask)
    ordered = ops.flip(ops.sort(ops.stop_gradient(z), axis=-1), -1)
    rank = ops.cumsum(ops.ones_like(ordered), axis=-1)
    mean = ops.cumsum(ordered, axis=-1) / rank
    mean_square = ops.cumsum(ops.square(ordered), axis=-1) / rank
    spread = rank * (mean_square - ops.square(mean))
    taus = mean - ops.sqrt(ops.maximum((1 - spread) / rank, 0))
    size = ops.sum(ops.cast(taus <= ordered, z.dtype), axis=-1, keepdims=True)
    threshold = ops.sum(ops.where(rank == size, taus, 0.0), axis=-1, keepdims=True)
    support = ops.cast(ops.stop_gradient(z) > threshold, z.dtype)
    count = ops.maximum(ops.sum(support, axis=-1, keepdims=True), 1)
    mean = ops.sum(support * z, axis=-1, keepdims=True) / count
    spread = ops.sum(support * ops.square(z - mean), axis=-1, keepdims=True)
    tau = mean - ops.sqrt(ops.maximum((1 - spread) / count, 1e-12))
    return hide(ops.square(ops.maximum(z - tau, 0)) * support, mask)


def entmax(scores, alpha, mask=None, iterations=30):
    """alpha-entmax for any `alpha` in (1, 2], by bisection; alpha may be learned.

    Peters et al. 2019, https://arxiv.org/abs/1905.05702; Correia et al. 2019 for the
    gradient in alpha, https://arxiv.org/abs/1909.00015. Gradients are those of the
    implicit function theorem: one Newton step from the threshold that was found.

    Args:
        scores: Tensor `(..., Tq, Tv)`.
        alpha: Scalar, or a tensor that broadcasts to `scores`.
        mask: Boolean tensor or None.
        iterations: Halvings of the bracket.
    """
    gap = ops.convert_to_tensor(alpha, dtype=scores.dtype) - 1
    z = shift_to_zero(scores * gap, mask)

    def mass(z, tau, gap):
        base = z - tau
        inside = base > 0
        safe = ops.where(inside, base, ops.ones_like(base))
        return ops.where(inside, ops.exp(ops.log(safe) / gap), ops.zeros_like(base))

    fixed, fixed_gap = ops.stop_gradient(z), ops.stop_gradient(gap)
    low = ops.zeros_like(fixed[..., :1]) - 1
    high = ops.zeros_like(low)
    for _ in range(iterations):
        middle = (low + high) / 2
        enough = ops.sum(mass(fixed, middle, fixed_gap), axis=-1, keepdims=True) >= 1
        low = ops.where(enough, middle, low)
        high = ops.where(enough, high, middle)
    tau = ops.stop_gradient(low)
    weights = mass(z, tau, gap)
    # d mass / d tau = - p^(2 - alpha) / (alpha - 1)
    flat = ops.stop_gradient(mass(z, tau, gap / (1 - gap + 1e-6)) / gap)
    slope = ops.maximum(ops.sum(flat, axis=-1, keepdims=True), 1e-12)
    tau = tau + (ops.sum(weights, axis=-1, keepdims=True) - 1) / slope
    return hide(mass(z, tau, gap), mask)
