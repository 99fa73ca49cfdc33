"""Forecasting: the last values of a series in, the next ones out."""

import sys

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.base import Table, Task
from attention_zoo.recipes.tasks.series.csv_files import read_series, span


class SeriesTask(Task):
    """Forecasts of regular series, which the command reads from CSV files."""

    facts = {
        "variates": [str],
        "lookback": int,
        "horizons": [int],
        "step_seconds": int,
        "interpolated": int,
    }
    needs = ("variates", "lookback", "step_seconds")
    data_settings = (*Task.data_settings, "lookback", "horizons", "quantiles")
    lower_is_better = True
    table = "forecasts"

    # === Measures ===

    def measures(self, card):
        return [f"mse_{h}" for h in card["horizons"]]

    def measure_name(self, key):
        metric, _, horizon = key.partition("_")
        return f"{metric.upper()}, horizon {horizon}"

    def twin_measure(self, card):
        return f"mse_{max(card['horizons'])}"

    def twin_figure(self, row, card):
        return self.figure(row, self.twin_measure(card), card, digits=4)

    def digits(self, key, card):
        return 3 if self.value(card, self.measures(card)[0]) > 0.05 else 4

    # === Tables ===

    def table_of(self, card):
        data, lookback, horizons = card["dataset"], card["lookback"], card["horizons"]
        columns = ("recipe", "", *map(str, horizons), "parameters", "file")
        caption = f"`{data}`, look-back {lookback}, test MSE at each horizon:"
        return Table(columns, caption, (data, lookback, *horizons))

    def table_rows(self, card):
        rows = []
        for name, row in {"model": card, **card["baselines"]}.items():
            figures = [self.figure(row, key, card) for key in self.measures(card)]
            first, last = ("", ["", ""]) if rows else (self.link(card), self.size(card))
            rows.append([first, name.replace("_", " "), *figures, *last])
        return rows

    # === The model card ===

    def span(self, seconds):
        """Returns how far apart the steps are, in words."""
        return span(seconds)

    def better_at(self, card):
        """Returns which baselines have the lower error, and at which horizons."""
        found = {}
        for h in card["horizons"]:
            for name in self.winners(card, f"mse_{h}"):
                found.setdefault(name, []).append(str(h))
        names = [name for name in card["baselines"] if name in found]
        return [f"`{name}` at {', '.join(found[name])}" for name in names]

    # === The command ===

    def add_arguments(self, parser):
        parser.add_argument(
            "--interpolate",
            action="store_true",
            help="fill empty cells of a CSV file on a line between their neighbours",
        )

    def read(self, entry, card, args, out=None):
        return self._read(entry, card, args)[1]

    def _read(self, entry, card, args):
        """Returns time stamps `(L,)` and values `(1, L, C)`: the file's last rows."""
        if len(args.text) != 1:
            raise UserError(
                f"{entry.name} takes one CSV file, received {len(args.text)}"
            )
        path, lookback = args.text[0], card["lookback"]
        dates, values, filled = read_series(
            path, card["variates"], lookback, card["step_seconds"], args.interpolate
        )
        if filled:
            cells = "cell" if filled == 1 else "cells"
            print(f"{path}: {filled} empty {cells} filled", file=sys.stderr)
        return dates[-lookback:], values[None, -lookback:]

    def input_of(self, card):
        return (None, card["lookback"], len(card["variates"])), False

    def check_output(self, entry, card, model):
        shape, levels = model.outputs[0].shape, self._levels(card)
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != len(levels)):
            raise UserError(
                f"{entry.name}: the card names {len(levels)} quantiles, the model has "
                f"outputs of the shape {tuple(shape)}"
            )

    def _levels(self, card):
        levels = card.get("settings", {}).get("quantiles")
        return levels if isinstance(levels, list) else []

    def names(self, card):
        return card["variates"]

    def predict(self, entry, card, args):
        """Prints the forecast as CSV; its time stamps continue those of the file."""
        dates, window = self._read(entry, card, args)
        model = self.load(entry, card)
        forecast = np.asarray(model(window, training=False))[0]  # (H, C) or (H, C, Q)
        if not np.isfinite(forecast).all():
            raise UserError(
                f"{args.text[0]}: the values are so far from those of the training "
                "that the forecast is not finite"
            )
        names = card["variates"]
        if forecast.ndim == 3:
            names = [
                f"{name}_{level}" for name in names for level in self._levels(card)
            ]
            forecast = forecast.reshape(len(forecast), -1)
        print("date", *names, sep=",")
        step = np.timedelta64(card["step_seconds"], "s")
        for i, row in enumerate(forecast, start=1):
            stamp = str(dates[-1] + i * step).replace("T", " ")
            print(stamp, *(f"{value:.6g}" for value in row), sep=",")
        return 0


TASK = SeriesTask()
