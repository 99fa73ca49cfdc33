"""What each method says of a window, and windows with parts hidden."""

import keras
import numpy as np

from attention_zoo.interpret.base import Explanation
from attention_zoo.interpret.calls import by_gradient, predict_batch
from attention_zoo.interpret.features import Features
from attention_zoo.interpret.methods.ranks import rank_correlation

MOST_PARTS = 48  # pieces of a window that `occlusion` hides at most


class SeriesMethods(Explanation):
    """The methods of `SeriesExplanation`, which says what its arguments are."""

    inputs: np.ndarray

    def kind_of(self, layer_name):
        """Returns what the weights of a layer are of."""
        raise NotImplementedError

    def _attributions(self):
        steps, variates = self.inputs.shape[1:]
        if self.method == "occlusion":
            edges = self._stretches()
            keep = ~np.eye(len(edges) - 1, dtype=bool)
            moves = np.stack(
                [-self._part_outputs(b, keep, 64) for b in range(len(self))]
            )
            each = np.repeat(moves, np.diff(edges), axis=1)  # (B, L)
            return np.repeat(each[..., None], variates, axis=-1)

        def score(outputs):
            return keras.ops.mean(outputs, axis=tuple(range(1, len(outputs.shape))))

        features = Each(Features(self.model, self.inputs, score))
        baseline = self.inputs.mean(axis=1, keepdims=True)[..., None]
        return by_gradient(self.method, features, baseline)

    def _stretches(self):
        """Returns the edges of the stretches of time that are hidden one by one."""
        steps = self.inputs.shape[1]
        count = min(steps, MOST_PARTS)
        return np.ceil(np.arange(count + 1) * steps / count).astype(int)

    def _part_scores(self, layer_name):
        if not self._shows_attention(layer_name):
            scores = self.attributions.sum(axis=-1)
        else:
            layer_name = layer_name or self.default_layer
            if self.kind_of(layer_name) != "lags":
                raise ValueError(
                    "`faithfulness` expects a layer with weights of lags. Received: "
                    f"layer_name={layer_name!r}, whose weights are of "
                    f"{self.kind_of(layer_name)}"
                )
            scores = self.weights_of(layer_name).mean(axis=1)
        return list(np.add.reduceat(scores, self._stretches()[:-1], axis=-1))

    def _part_outputs(self, index, keep, batch_size):
        """Returns minus how far the forecast moves, in deviations of each variate."""
        edges = self._stretches()
        window, whole = self.inputs[index], self.predictions[index]
        scale = window.std(axis=0) + 1e-6
        scale = scale[:, None] if whole.ndim == 3 else scale
        found = []
        for start in range(0, len(keep), batch_size):
            rows = [
                without_stretches(window, edges, row)
                for row in keep[start : start + batch_size]
            ]
            outputs = predict_batch(self.model, np.stack(rows))
            gap = np.abs(outputs - whole) / scale
            found.append(-gap.mean(axis=tuple(range(1, gap.ndim))))
        return np.concatenate(found)


class Each:
    """`Features` of which each stands alone: a position of one feature each."""

    def __init__(self, features):
        self._features = features
        self.values = features.values[..., None]

    def gradient(self, values=None):
        values = self.values if values is None else values
        return self._features.gradient(values[..., 0])[..., None]


def without_stretches(window, edges, keep):
    """Returns a window `(L, C)` with straight lines where stretches are hidden.

    Args:
        window: Array `(L, C)`.
        edges: Where the stretches begin, and the end of the last.
        keep: Boolean array, False for the stretches that are hidden.
    """
    steps = np.arange(len(window))
    seen = np.repeat(keep, np.diff(edges))
    if not seen.any():
        return np.broadcast_to(window.mean(axis=0), window.shape)
    lines = [np.interp(steps, steps[seen], column[seen]) for column in window.T]
    return np.stack(lines, axis=-1).astype(window.dtype)


def without_variate(inputs, variate):
    """Returns windows in which one variate is its mean."""
    hidden = inputs.copy()
    hidden[:, :, variate] = inputs[:, :, variate].mean(axis=1, keepdims=True)
    return hidden


def without_steps(inputs, start, end):
    """Returns windows with a straight line from step `start` up to `end`."""
    hidden = inputs.copy()
    before = inputs[:, start - 1] if start else inputs[:, min(end, len(inputs[0]) - 1)]
    after = inputs[:, end] if end < inputs.shape[1] else before
    share = np.linspace(0, 1, end - start + 2, dtype="float32")[1:-1, None]
    hidden[:, start:end] = before[:, None] * (1 - share) + after[:, None] * share
    return hidden


def lags_correlation(moves, weights):
    """Returns the mean over variates of the correlation over parts, `(C, P)` each."""
    found = [rank_correlation(m, w) for m, w in zip(moves, weights, strict=True)]
    found = [value for value in found if np.isfinite(value)]
    return float(np.mean(found)) if found else float("nan")


def pairs_correlation(moves, weights):
    """Returns the correlation over all pairs of two variates, `(C, C)` each."""
    others = ~np.eye(len(moves), dtype=bool)
    return rank_correlation(moves[others], weights[others])
