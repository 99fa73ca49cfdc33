"""Forecasting: the last values of a series in, the next ones out."""

import csv
import sys

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.base import Table, Task
from attention_zoo.recipes.tasks.series import own, reader
from attention_zoo.recipes.tasks.series.columns import NOT_TAKEN
from attention_zoo.recipes.tasks.series.steps import Step

COLUMNS = (
    ("--time", "COLUMN", "the time stamps of a series; none counts the rows"),
    ("--id", "COLUMN", "what tells several series of one file apart"),
    ("--time-zone", "NAME", "of time stamps without an offset, e.g. Europe/Berlin"),
    ("--time-format", "FORM", "of time stamps, e.g. '%%d.%%m.%%Y %%H:%%M'"),
)


class SeriesTask(Task):
    """Forecasts of regular series, which the command reads from CSV files."""

    facts = {
        "variates": [str],
        "lookback": int,
        "horizons": [int],
        "step_seconds": float,
        "interpolated": int,
    }
    needs = ("variates", "lookback", "step_seconds")
    data_settings = (*Task.data_settings, "lookback", "horizons", "quantiles")
    lower_is_better = True
    table = "forecasts"
    models = (
        "attention_forecaster",
        "autocorrelation_forecaster",
        "inverted_transformer",
        "patch_transformer",
    )

    # === Own data ===

    def add_data_arguments(self, parser):
        own.add_arguments(parser)

    def data_options(self, args):
        return own.options(args)

    def read_own(self, request):
        return own.read(request)

    def recipe_for(self, model, facts):
        return own.recipe_for(model, facts)

    def adapted(self, recipe, facts):
        return own.adapted(recipe, facts)

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

    def span(self, card):
        """Returns how far apart the steps are, in words."""
        return self._step(card).words

    def _step(self, card):
        """Returns the `Step` of a card, whose seconds alone older ones have."""
        given = card.get("settings", {}).get("step")
        if isinstance(given, str) and given:
            return Step.parse(given)
        return Step(card["step_seconds"])

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
            help="fill empty cells and absent rows of a file on a line between their "
            "neighbours",
        )
        parser.add_argument(
            "--sort",
            action="store_true",
            help="bring the rows of a file into the order of their time stamps",
        )
        for name, metavar, text in COLUMNS:
            parser.add_argument(name, metavar=metavar, help=text)

    def read(self, entry, card, args, out=None):
        return self._read(entry, card, args)[1]

    def _read(self, entry, card, args):
        """Returns the `Series` and its last rows, values `(1, L, C)`."""
        if len(args.text) != 1:
            raise UserError(
                f"{entry.name} takes one CSV file, received {len(args.text)}"
            )
        path, lookback = args.text[0], card["lookback"]
        options = self.reading(args, card)
        series = reader.read_series(
            path, card["variates"], lookback, self._step(card), options
        )
        if series.filled:
            cells = "cell" if series.filled == 1 else "cells"
            print(f"{path}: {series.filled} empty {cells} filled", file=sys.stderr)
        for note in series.notes:
            if not note.startswith(NOT_TAKEN):  # the model says what it takes
                print(f"{path}: {note}", file=sys.stderr)
        return series, series.values[None, -lookback:]

    def reading(self, args, card):
        """Returns how a file is read: as the command line says, or as in training."""
        trained = card.get("source", {}).get("options", {})
        values = {
            name: getattr(args, name, None) or trained.get(name) for name in own.READING
        }
        return reader.Options(interpolate=args.interpolate, sort=args.sort, **values)

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
        series, window = self._read(entry, card, args)
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
            forecast = np.sort(forecast, axis=-1).reshape(len(forecast), -1)
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([series.time, *names])
        stamps = series.stamps.following(series.step, len(forecast))
        for stamp, row in zip(stamps, forecast, strict=True):
            writer.writerow([stamp, *map(in_full, row)])
        return 0


def in_full(value):
    """Returns a float32 as the shortest text that gives it back."""
    value = np.float32(value)
    if value and not 1e-5 <= abs(value) < 1e16:
        return np.format_float_scientific(value, trim="-")
    return np.format_float_positional(value, trim="-")


TASK = SeriesTask()
