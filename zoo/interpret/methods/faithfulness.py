"""Whether an explanation tells what an output hung on, by taking parts away."""

import dataclasses

import numpy as np

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)  # of the parts, as in ERASER


@dataclasses.dataclass(frozen=True)
class Faithfulness:
    """How well scores of parts foretell what taking the parts away does.

    Each is an array `(B,)`. Scores count by their signed value: a part that speaks
    against the output comes last.

    Attributes:
        comprehensiveness: Mean fall of the output without the best 1, 5, 10, 20 and
            50 % of the parts. High is good.
        sufficiency: Mean fall of the output with these parts alone. Low is good.
        deletion: Area under the output while parts go, the best first. Low is good.
        insertion: Area under the output while parts come, the best first. High is good.
        rank_correlation: Spearman's correlation of the scores' size with the size of
            the move when one part goes. NaN where either is the same for all parts.
    """

    comprehensiveness: np.ndarray
    sufficiency: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    rank_correlation: np.ndarray

    def __str__(self):
        names = [field.name for field in dataclasses.fields(self)]
        return "\n".join(
            f"{name:17} {known_mean(getattr(self, name)):.3f}" for name in names
        )


def known_mean(values):
    """Returns the mean of the values that are defined, NaN where none is."""
    known = values[np.isfinite(values)]
    return known.mean() if len(known) else np.nan


def curves(scores, output_of, points=10):
    """Returns the outputs that the measures of `Faithfulness` are made of.

    Args:
        scores: Array `(P,)`, of the parts of one input.
        output_of: Function of a boolean array `(N, P)`, True for the parts that stay,
            that returns the outputs `(N,)`.
        points: Integer, steps of the deletion and insertion curves. Defaults to `10`.

    Returns:
        Four floats: comprehensiveness, sufficiency, deletion and insertion.

    References:
        - [DeYoung et al., 2020](https://arxiv.org/abs/1911.03429), the first two
        - [Samek et al., 2017](https://arxiv.org/abs/1509.06321) and
          [Petsiuk et al., 2018](https://arxiv.org/abs/1806.07421), the curves
    """
    count = len(scores)
    if not count:
        return (np.nan,) * 4
    rank = np.empty(count, int)
    rank[np.argsort(-np.asarray(scores), kind="stable")] = np.arange(count)
    tops = [max(1, int(np.ceil(share * count))) for share in SHARES]
    steps = np.unique(np.round(np.linspace(0, count, points + 1)).astype(int))
    gone = [rank >= top for top in tops]
    alone = [rank < top for top in tops]
    fewer = [rank >= step for step in steps]
    more = [rank < step for step in steps]
    ones = np.ones((1, count), bool)
    outputs = output_of(np.concatenate([ones, gone, alone, fewer, more]))
    whole, outputs = outputs[0], outputs[1:]
    without, kept = outputs[: len(tops)], outputs[len(tops) : 2 * len(tops)]
    falling, rising = np.split(outputs[2 * len(tops) :], 2)
    area = [float(np.trapezoid(curve, steps / count)) for curve in (falling, rising)]
    return float(whole - without.mean()), float(whole - kept.mean()), *area
