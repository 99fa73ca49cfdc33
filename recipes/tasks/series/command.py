"""`attention-zoo predict` and `explain` for forecasters, which read a CSV file."""

import sys

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series import csv_files as _tables


def is_forecaster(entry):
    """Returns whether an entry's card is that of a forecaster."""
    return "variates" in entry.card


def read_window(entry, files, interpolate):
    """Returns the time stamps and the values of the window that a model looks at.

    Args:
        entry: The `Entry` of a forecaster.
        files: List with one path of a CSV file.
        interpolate: Whether gaps are filled; how many is said on stderr.

    Returns:
        Array `(L,)` of datetime64[s] and array `(1, L, C)`, the last rows of the file.
    """
    if len(files) != 1:
        raise UserError(f"{entry.name} takes one CSV file, received {len(files)}")
    card, path = entry.card, files[0]
    dates, values, filled = _tables.read_series(
        path, card["variates"], card["lookback"], card["step_seconds"], interpolate
    )
    if filled:
        cells = "cell" if filled == 1 else "cells"
        print(f"{path}: {filled} empty {cells} filled", file=sys.stderr)
    return dates[-card["lookback"] :], values[None, -card["lookback"] :]


def print_forecast(entry, model, dates, window):
    """Prints the forecast as CSV, its time stamps going on from those of the window."""
    card = entry.card
    forecast = np.asarray(model(window, training=False))[0]  # (H, C) or (H, C, Q)
    names = card["variates"]
    if forecast.ndim == 3:
        levels = card["settings"]["quantiles"]
        names = [f"{name}_{level}" for name in names for level in levels]
        forecast = forecast.reshape(len(forecast), -1)
    print("date", *names, sep=",")
    step = np.timedelta64(card["step_seconds"], "s")
    for i, row in enumerate(forecast, start=1):
        stamp = str(dates[-1] + i * step).replace("T", " ")
        print(stamp, *(f"{value:.6g}" for value in row), sep=",")
