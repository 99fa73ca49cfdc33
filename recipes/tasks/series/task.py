"""Forecasting: the last values of a series in, the next ones out."""

import csv
import sys

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.base import Table, Task
from attention_zoo.recipes.tasks.series import defaults, own, panel, reader
from attention_zoo.recipes.tasks.series.columns import NOT_TAKEN
from attention_zoo.recipes.tasks.series.steps import Step
from attention_zoo.recipes.tasks.shared import predict

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
        "past": [str],
        "known": [str],
        "series": int,
        "lookback": int,
        "horizons": [int],
        "step_seconds": float,
        "interpolated": int,
    }
    needs = ("variates", "lookback", "step_seconds")
    later = ("past", "known", "series")
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
        return defaults.recipe_for(model, facts)

    def adapted(self, recipe, facts):
        return defaults.adapted(recipe, facts)

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

    def columns(self, card):
        """Returns the names of the columns of a file to forecast from."""
        covariates = [*card.get("past", ()), *card.get("known", ())]
        columns = card.get("source", {}).get("columns")
        return columns or ["date", *card["variates"], *covariates]

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
        covariates = [*card.get("past", ()), *card.get("known", ())]
        if covariates:
            raise UserError(
                f"{entry.name} sees {', '.join(covariates)} beside what it forecasts: "
                "explain does not take such models yet"
            )
        return self._read(entry, card, args)[1]

    def _read(self, entry, card, args):
        """Returns a dict from names to `Series`, their last rows `(N, T, D)`, and
        the names of series that are too short.

        A file of one series has the name `""`.
        """
        if len(args.text) != 1:
            raise UserError(
                f"{entry.name} takes one CSV file, received {len(args.text)}"
            )
        path, lookback = args.text[0], card["lookback"]
        asked = (path, card["variates"], lookback, self._step(card))
        options, short = self.reading(args, card), []
        if card.get("series"):
            found, short, _ = panel.read_panel(*asked, options)
        else:
            found = {"": reader.read_series(*asked, options)}
        for series in found.values():
            if series.filled:
                cells = "cell" if series.filled == 1 else "cells"
                print(f"{path}: {series.filled} empty {cells} filled", file=sys.stderr)
            for note in series.notes:
                if not note.startswith(NOT_TAKEN):  # the model says what it takes
                    print(f"{path}: {note}", file=sys.stderr)
        for reason, count in panel.left_out(short, lookback).items():
            print(f"{path}: left out: {count:,} {reason}", file=sys.stderr)
        windows = [
            last_window(path, name, series, card) for name, series in found.items()
        ]
        return found, np.stack(windows), short

    def reading(self, args, card):
        """Returns how a file is read: as the command line says, or as in training."""
        trained = card.get("source", {}).get("options", {})
        values = {
            name: getattr(args, name, None) or trained.get(name) for name in own.READING
        }
        return reader.Options(
            interpolate=args.interpolate,
            sort=args.sort,
            past=tuple(card.get("past", ())),
            known=tuple(card.get("known", ())),
            as_variates=not card.get("series"),
            **values,
        )

    def input_of(self, card):
        known = card.get("known", [])
        steps = card["lookback"] + (max(card["horizons"]) if known else 0)
        columns = [*card["variates"], *card.get("past", []), *known]
        return (None, steps, len(columns)), False

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
        found, windows, short = self._read(entry, card, args)
        model = self.load(entry, card)
        forecasts = predict(model, windows)  # (N, H, C) or (N, H, C, Q)
        if not np.isfinite(forecasts).all():
            raise UserError(
                f"{args.text[0]}: the values are so far from those of the training "
                "that the forecast is not finite"
            )
        names = card["variates"]
        if forecasts.ndim == 4:
            names = [
                f"{name}_{level}" for name in names for level in self._levels(card)
            ]
            forecasts = np.sort(forecasts, axis=-1)
        forecasts = forecasts.reshape(*forecasts.shape[:2], -1)
        writer = csv.writer(sys.stdout, lineterminator="\n")
        first = next(iter(found.values()))
        column = self.reading(args, card).id or reader.ID_COLUMN
        begin = [column] * bool(card.get("series"))
        writer.writerow([*begin, first.time, *names])
        for (title, series), forecast in zip(found.items(), forecasts, strict=True):
            now = series.stamps.take(slice(len(series.values) - series.ahead))
            stamps = now.following(series.step, len(forecast))
            begin = [title] * bool(card.get("series"))
            for stamp, row in zip(stamps, forecast, strict=True):
                writer.writerow([*begin, stamp, *map(in_full, row)])
        return 2 if short else 0


def last_window(path, name, series, card):
    """Returns the last rows of a series, with known columns those ahead too.

    Args:
        path: The file, for an error.
        name: Name of the series.
        series: The `Series`.
        card: The card of the model.
    """
    now = len(series.values) - series.ahead
    ahead = max(card["horizons"]) if card.get("known") else 0
    if series.ahead < ahead:
        raise UserError(
            f"{path}{f', series {name}' if name else ''}: the known columns "
            f"{', '.join(card['known'])} end {series.ahead} rows behind the last "
            f"value, the model needs {ahead}: add rows of them, the other cells empty"
        )
    return series.values[now - card["lookback"] : now + ahead]


def in_full(value):
    """Returns a float32 as the shortest text that gives it back."""
    value = np.float32(value)
    if value and not 1e-5 <= abs(value) < 1e16:
        return np.format_float_scientific(value, trim="-")
    return np.format_float_positional(value, trim="-")


TASK = SeriesTask()
