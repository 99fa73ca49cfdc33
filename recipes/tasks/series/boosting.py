"""Gradient boosting on lags and covariates, the plain baseline where there are some."""

import time
from typing import NamedTuple

import numpy as np

from attention_zoo.recipes.tasks.series.baselines import errors

MOST_LAGS = 48
MOST_ROWS = 100_000  # that are fitted, a row for each step of a forecast


class Layout(NamedTuple):
    """What the columns and the rows of a window are.

    Args:
        lookback: Integer, rows up to now.
        horizons: Rising integers.
        variates: Integer, how many columns are forecast.
        past: Integer, how many columns behind them are known up to now.
        known: Integer, how many columns behind those are known ahead.
    """

    lookback: int
    horizons: list
    variates: int
    past: int
    known: int


def measure(train, test, layout, season, seed=0):
    """Returns the metrics of gradient boosting on windows.

    One ensemble of trees forecasts every step of every variate. It sees the last lags
    of the variate and the value a season before the step, less the mean of the window,
    the number of the step, the last row of the past columns, and the known columns at
    the step and at the two before it.

    Args:
        train: Inputs `(N, T, D)` and targets `(N, H, C)`.
        test: The same.
        layout: The `Layout`.
        season: Integer, steps of a season.
        seed: Integer that decides which rows are fitted where they are many.

    Returns:
        Dict of `mse_<h>`, `mae_<h>`, `fitted_rows` and `seconds`.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    began, horizon = time.monotonic(), max(layout.horizons)
    each = layout.variates * horizon
    inputs, targets = train
    rng, most = np.random.default_rng(seed), max(1, MOST_ROWS // each)
    picked = np.arange(len(inputs))
    if len(picked) > most:
        picked = np.sort(rng.choice(picked, most, replace=False))
    x, level = features(inputs[picked], layout, season)
    y = targets[picked].transpose(0, 2, 1).reshape(-1) - level
    whole = np.isfinite(y)
    model = HistGradientBoostingRegressor(random_state=seed)
    model.fit(x[whole], y[whole])
    forecasts = []
    for start in range(0, len(test[0]), most):
        x, level = features(test[0][start : start + most], layout, season)
        rows = (model.predict(x) + level).reshape(-1, layout.variates, horizon)
        forecasts.append(rows.transpose(0, 2, 1))
    return {
        **errors(np.concatenate(forecasts), test[1], layout.horizons),
        "fitted_rows": int(whole.sum()),
        "seconds": round(time.monotonic() - began, 1),
    }


def features(inputs, layout, season):
    """Returns features `(N * C * H, F)` of each step, and the means of their windows.

    Args:
        inputs: Array `(N, T, D)`.
        layout: The `Layout`.
        season: Integer.
    """
    length, count, horizon = layout.lookback, layout.variates, max(layout.horizons)
    shape = (len(inputs), count, horizon)
    past = inputs[:, :length, :count].transpose(0, 2, 1)  # (N, C, L)
    level = past.mean(axis=-1, keepdims=True)
    lags = past[..., -MOST_LAGS:] - level
    steps = np.arange(horizon)
    seasonal = (past - level)[..., length - season + steps % season]
    columns = [np.broadcast_to(lags[:, :, None], (*shape, lags.shape[-1]))]
    columns += [seasonal[..., None], np.broadcast_to(steps[:, None], (*shape, 1))]
    columns.append(np.broadcast_to(np.arange(count)[:, None, None], (*shape, 1)))
    if layout.past:
        last = inputs[:, length - 1, count : count + layout.past]
        columns.append(np.broadcast_to(last[:, None, None], (*shape, layout.past)))
    if layout.known:
        known = inputs[:, :, -layout.known :]
        for back in range(3):
            at = np.maximum(0, length + steps - back)
            columns.append(np.broadcast_to(known[:, None, at], (*shape, layout.known)))
    x = np.concatenate(columns, axis=-1).astype("float32")
    level = np.broadcast_to(level, shape).reshape(-1)
    return x.reshape(-1, x.shape[-1]), level
