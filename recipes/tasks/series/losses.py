"""The loss and the metric of forecasts for several horizons at once."""

import keras
import numpy as np
from keras import ops

LOSSES = ("mse", "mae", "huber")


class HorizonLoss(keras.losses.Loss):
    """The mean over horizons of a forecast's loss up to each.

    Step `t` has the weight `mean over horizons h of (t < h) / h`. Targets that are NaN
    have none.

    Args:
        horizons: Rising integers.
        kind: One of `LOSSES`, for point forecasts.
        quantiles: None, or the levels of the forecast's last axis: the pinball loss.
    """

    def __init__(self, horizons, kind, quantiles=None, name="loss"):
        super().__init__(name=name)
        self.kind, self.quantiles = kind, quantiles
        steps = np.arange(max(horizons))
        weights = np.mean([(steps < h) / h for h in horizons], axis=0)
        self.weights = weights.astype("float32")[:, None]  # (H, 1)

    def call(self, y_true, y_pred):
        known = ops.isfinite(y_true)
        y_true = ops.where(known, y_true, ops.zeros_like(y_true))
        known = ops.cast(known, "float32")
        if self.quantiles is None:
            loss = point_loss(y_pred - y_true, self.kind)
        else:
            loss = pinball(y_true, y_pred, self.quantiles)
        loss = ops.sum(loss * known * self.weights, axis=(1, 2))  # (B,)
        # A window that ends with its split has fewer steps: its weights are shared out.
        whole = ops.mean(ops.sum(known * self.weights, axis=1), axis=-1)
        return loss / (whole * y_true.shape[2])


def point_loss(gap, kind):
    """Returns the loss of each difference, of one of `LOSSES`."""
    if kind == "mse":
        return ops.square(gap)
    size = ops.abs(gap)
    if kind == "mae":
        return size
    return ops.where(size < 1, 0.5 * ops.square(gap), size - 0.5)


def pinball(y_true, y_pred, quantiles):
    """Returns the mean over levels of `max(q (y - f), (q - 1) (y - f))`.

    Args:
        y_true: Tensor `(B, H, C)`.
        y_pred: Tensor `(B, H, C, Q)`.
        quantiles: The `Q` levels.
    """
    gap = ops.expand_dims(y_true, -1) - y_pred
    levels = np.asarray(quantiles, dtype="float32")
    return ops.mean(ops.maximum(levels * gap, (levels - 1) * gap), axis=-1)


class HorizonError(keras.metrics.Metric):
    """The mean over horizons of the mean square error of the windows that hold it.

    Args:
        horizons: Rising integers.
        quantiles: None, or the levels of the forecast: the error is the median's.
    """

    def __init__(self, horizons, quantiles=None, **kwargs):
        super().__init__(**kwargs)
        self.horizons, self.quantiles = horizons, quantiles
        shape = (len(horizons),)
        self.total = self.add_variable(shape, initializer="zeros", name="total")
        self.count = self.add_variable(shape, initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        if self.quantiles is not None:
            y_pred = y_pred[..., list(self.quantiles).index(0.5)]
        known = ops.isfinite(y_true)
        y_pred = ops.cast(y_pred, y_true.dtype)  # from half precision
        gap = ops.where(known, y_true - y_pred, ops.zeros_like(y_true))
        gap = ops.mean(ops.square(gap), axis=-1)  # (B, H)
        totals, counts = [], []
        for h in self.horizons:
            whole = ops.cast(known[:, h - 1, 0], "float32")
            totals.append(ops.sum(whole * ops.mean(gap[:, :h], axis=-1)))
            counts.append(ops.sum(whole))
        self.total.assign_add(ops.stack(totals))
        self.count.assign_add(ops.stack(counts))

    def result(self):
        return ops.mean(self.total / ops.maximum(self.count, 1))
