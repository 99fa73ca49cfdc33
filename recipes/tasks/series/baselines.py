"""Errors of forecasts, and the baselines measured in the same run as the model.

Windows are standardised arrays `(N, L, C)` with targets `(N, H, C)` that are NaN behind
the end of their split.
"""

import time

import numpy as np

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # shares of the features' mean square


def errors(forecasts, targets, horizons):
    """Returns MSE and MAE at each horizon, over all windows that hold it whole.

    Args:
        forecasts: Array `(N, H, C)`.
        targets: Array `(N, H, C)`, NaN behind the end of the split.
        horizons: Rising integers, the last of them `H`.

    Returns:
        Dict of `mse_<h>` and `mae_<h>`.
    """
    found = {}
    for name, power in (("mse", 2), ("mae", 1)):
        for h in horizons:
            whole = np.isfinite(targets[:, h - 1]).all(axis=-1)
            gap = np.abs(forecasts[whole, :h] - targets[whole, :h], dtype="float64")
            found[f"{name}_{h}"] = float((gap**power).mean())
    return found


def quantile_errors(forecasts, targets, horizons, quantiles):
    """Returns `pinball_<h>` and `coverage_<h>` over the windows that hold a horizon.

    Args:
        forecasts: Array `(N, H, C, Q)`.
        targets: Array `(N, H, C)`, NaN behind the end of the split.
        horizons: Rising integers.
        quantiles: The `Q` levels.
    """
    losses, coverages = {}, {}
    levels = np.asarray(quantiles)
    for h in horizons:
        whole = np.isfinite(targets[:, h - 1]).all(axis=-1)
        truth, rows = targets[whole, :h, :, None], forecasts[whole, :h]
        gap = truth - rows
        loss = np.maximum(levels * gap, (levels - 1) * gap).mean(dtype="float64")
        losses[f"pinball_{h}"] = float(loss)
        inside = (rows[..., :1] <= truth) & (truth <= rows[..., -1:])
        coverages[f"coverage_{h}"] = float(inside.mean())
    return losses | coverages


def seasonal_naive(inputs, horizon, season):
    """Returns the last season of each window, again and again, `(N, H, C)`."""
    last = inputs[:, -season:]
    return last[:, np.arange(horizon) % last.shape[1]]


class LinearForecaster:
    """One linear layer from a normalized window to its future, common to all variates.

    As in RLinear, each window of each variate is taken to mean 0 and variance 1, and
    the forecast back. The layer is fitted in closed form to the least square error,
    with a ridge that validation picks for each horizon.

    References:
        - Zeng et al. 2022, https://arxiv.org/abs/2205.13504
        - Li et al. 2023, https://arxiv.org/abs/2305.10721
    """

    def __init__(self, horizons):
        self.horizons = horizons
        self.kernel = None  # (L + 1, H)
        self.ridges: list = []
        self.seconds = 0.0

    def fit(self, train, validation):
        """Fits to pairs of inputs and targets and returns itself."""
        began, columns, start = time.monotonic(), [], 0
        for h in self.horizons:
            part = slice(start, h)
            gram, moment = self._moments(train, h, part)
            best: tuple = ()
            for ridge in RIDGES:
                size = ridge * np.trace(gram) / len(gram)
                kernel = np.linalg.solve(gram + size * np.eye(len(gram)), moment)
                error = self._error(kernel, validation, h, part)
                if not best or error < best[0]:
                    best = (error, ridge, kernel)
            _, ridge, kernel = best
            columns.append(kernel)
            self.ridges.append(ridge)
            start = h
        self.kernel = np.concatenate(columns, axis=1)
        self.seconds = time.monotonic() - began
        return self

    def predict(self, inputs, batch_size=256):
        """Returns forecasts `(N, H, C)`."""
        rows = []
        for start in range(0, len(inputs), batch_size):
            features, mean, scale = _features(inputs[start : start + batch_size])
            forecast = features @ self.kernel * scale + mean  # (n, C, H)
            rows.append(forecast.transpose(0, 2, 1).astype("float32"))
        return np.concatenate(rows)

    def _moments(self, data, h, part, batch_size=512):
        """Returns `X'X` and `X'Y`, each row weighted by the window's variance."""
        inputs, targets = data
        whole = np.flatnonzero(np.isfinite(targets[:, h - 1]).all(axis=-1))
        gram: np.ndarray | float = 0.0
        moment: np.ndarray | float = 0.0
        for start in range(0, len(whole), batch_size):
            rows = whole[start : start + batch_size]
            features, mean, scale = _features(inputs[rows])
            wanted = targets[rows][:, part].transpose(0, 2, 1) - mean  # (n, C, steps)
            weighted = (features * scale).reshape(-1, features.shape[-1])
            wanted = wanted.reshape(len(weighted), -1)
            gram = gram + weighted.T @ weighted
            moment = moment + weighted.T @ wanted
        return gram, moment

    def _error(self, kernel, data, h, part, batch_size=512):
        """Returns the mean square error of some steps of the forecast."""
        inputs, targets = data
        whole = np.flatnonzero(np.isfinite(targets[:, h - 1]).all(axis=-1))
        total = 0.0
        for start in range(0, len(whole), batch_size):
            rows = whole[start : start + batch_size]
            features, mean, scale = _features(inputs[rows])
            forecast = features @ kernel * scale + mean
            wanted = targets[rows][:, part].transpose(0, 2, 1)
            total += float(((forecast - wanted) ** 2).sum())
        return total / len(whole)


def _features(inputs):
    """Returns windows as features `(n, C, L + 1)`, their means and deviations."""
    rows = inputs.transpose(0, 2, 1).astype("float64")  # (n, C, L)
    mean = rows.mean(axis=-1, keepdims=True)
    scale = np.sqrt(rows.var(axis=-1, keepdims=True) + 1e-5)
    ones = np.ones((*rows.shape[:-1], 1))
    return np.concatenate([(rows - mean) / scale, ones], axis=-1), mean, scale


def measure_seasonal_naive(test, horizons, season):
    """Returns the metrics of `seasonal_naive` on windows and targets."""
    inputs, targets = test
    forecasts = seasonal_naive(inputs, max(horizons), season)
    return {**errors(forecasts, targets, horizons), "season": season}


def measure_linear(model, test, horizons):
    """Returns the metrics of a fitted `LinearForecaster` on windows and targets."""
    inputs, targets = test
    return {
        **errors(model.predict(inputs), targets, horizons),
        "ridges": model.ridges,
        "seconds": round(model.seconds, 1),
    }
