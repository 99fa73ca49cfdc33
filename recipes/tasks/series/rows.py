"""The rows of one series or of several, and the windows that they are cut into."""

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import loading
from attention_zoo.recipes.tasks import pipeline
from attention_zoo.recipes.tasks.series import windows
from attention_zoo.recipes.tasks.series.checks import variates_of
from attention_zoo.recipes.tasks.series.panel import left_out
from attention_zoo.recipes.tasks.series.reader import fill_gaps
from attention_zoo.recipes.tasks.series.stamps import read_stamps
from attention_zoo.recipes.tasks.series.steps import Step, find_step
from attention_zoo.recipes.tasks.series.windows import SPLITS


class SeriesRows(pipeline.Pipeline):
    """The part of a pipeline that holds rows `(T, D)` and cuts them into windows.

    The columns are the variates, then the past columns, then those known ahead.

    Args:
        recipe: The `Recipe`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        smoke: Whether there are generated rows instead of the data.

    Attributes:
        rows: Dict from splits to arrays `(T, D)`, those of several series one behind
            the other.
        variates: Names of the columns that are forecast.
        past: Names of the columns that are seen up to now.
        known: Names of the columns that are known over the horizon too.
        series: How many series have windows of their own; 0 for a table of one.
        interpolated: How many values the data lack.
    """

    lookback: int
    horizon: int
    horizons: list
    rows: dict
    variates: list

    def __init__(self, recipe, data_dir=None, smoke=False):
        super().__init__(recipe, data_dir, smoke)
        self.past: list = []
        self.known: list = []
        self.series = self.interpolated = 0

    def _read(self, data_dir):
        """Returns time stamps, `{split: (T, D) values}` and `{split: names}` or None.

        The names are those of the series of each row, None for one series.
        """
        builder = loading.tfds_builder(self.recipe.dataset, data_dir)
        self.dataset = builder.info.full_name
        self.source = loading.source_of(builder)
        facts = dict(builder.info.metadata)["facts"] if self.source else {}
        self.variates = list(facts.get("variates", ())) or variates_of(builder)
        self.past, self.known = facts.get("past", []), facts.get("known", [])
        dates, rows, owners = [], {}, {}
        for name in SPLITS:
            columns = loading.read_columns(
                builder, getattr(self.recipe, f"{name}_split")
            )
            dates += [date.decode() for date in columns["date"]]
            owners[name] = [x.decode() for x in columns.get("series", ())]
            if self.source:
                rows[name] = columns["values"]
            else:
                rows[name] = np.stack([columns[v] for v in self.variates], axis=-1)
        return dates, rows, owners if owners["train"] else None

    def _step(self, dates, owners):
        """Returns the `Step` between time stamps, after a check that all are alike."""

        def place(row):
            return f"data set '{self.dataset}', row {row}"

        step = self.options.get("step")
        step = Step.parse(step) if step else None
        if owners is not None and step is not None:
            return step  # the series were checked one by one
        return find_step(read_stamps(dates, place), place, step)[0]

    def _divide(self, owners):
        """Divides the rows by series and leaves out those that are too short."""
        names, self._parts = windows.by_series(self.rows, owners)
        self.series = 0 if owners is None else len(names)
        if owners is None:
            return
        least = self.lookback + self.horizon
        whole = [sum(map(len, rows.values())) >= least for rows in self._parts]
        short = [name for name, fits in zip(names, whole, strict=True) if not fits]
        if len(short) == len(names):
            raise UserError(f"{self.dataset}: no series has {least} rows")
        for reason, count in left_out(short, least).items():
            print(f"left out: {count:,} {reason}", flush=True)
            source = dict(self.source or {})
            dropped = {**source.get("dropped", {}), reason: count}
            self.source = {**source, "dropped": dropped}
        self._parts = [x for x, fits in zip(self._parts, whole, strict=True) if fits]
        self.series = len(self._parts)

    def _fill(self):
        """Fills gaps, each split by itself, or refuses them."""
        gaps = {
            split: sum(int(np.isnan(rows[split]).sum()) for rows in self._parts)
            for split in SPLITS
        }
        self.interpolated = sum(gaps.values())
        if not self.interpolated:
            return
        if not self.options["interpolate"]:
            raise UserError(
                f"dataset '{self.dataset}' has gaps ({gaps}): --set interpolate=true "
                "fills them between their neighbours"
            )
        print(f"{self.dataset}: {self.interpolated} gaps filled", flush=True)
        columns = [*self.variates, *self.past, *self.known]
        for rows in self._parts:
            for split in SPLITS:
                where = f"dataset '{self.dataset}', {split}"
                rows[split] = fill_gaps(rows[split], columns, where)

    def _set_scales(self):
        """Takes level and scale from the training rows, of each series its own."""
        self._cut: dict = {}
        self._scale_of: dict = {}
        if self.series:
            self.rows = {k: np.concatenate([x[k] for x in self._parts]) for k in SPLITS}
        self._scales = windows.scales_of(self._parts, len(self.known))
        self.mean, self.deviation = windows.scale_of(self.rows["train"])

    def window_count(self, split, horizon):
        """Returns how many windows of a split hold a horizon whole."""
        targets = self.windows(split)[1]
        return int(np.isfinite(targets[:, horizon - 1, 0]).sum())

    def windows(self, split):
        """Returns inputs `(N, L, D)` and targets `(N, H, C)`, standardised.

        Targets are NaN behind the end of the split. There is a window wherever the
        shortest horizon fits; with known columns, whose inputs are `(N, L + H, D)`,
        wherever the longest does. Of one series they are views.
        """
        if split not in self._cut:
            self._cut[split] = self._windows(split)
        return self._cut[split]

    def _windows(self, split):
        beyond = 0 if self.known else self.horizon - min(self.horizons)
        pieces, counts = [], []
        for rows, mean, deviation in zip(self._parts, *self._scales, strict=True):
            scaled = {name: (rows[name] - mean) / deviation for name in SPLITS}
            piece = windows.cut(scaled, split, self.lookback, self.horizon, beyond)
            pieces.append(piece)
            counts.append(len(piece))
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        self._scale_of[split] = [
            scale if self.series == 0 else np.repeat(scale, counts, axis=0)
            for scale in self._scales
        ]
        inputs = whole if self.known else whole[:, : self.lookback]
        return inputs, whole[:, self.lookback :, : len(self.variates)]

    def targets_seen(self, split):
        """Returns the past `(N, L, C)` of what is forecast, and targets `(N, H, C)`."""
        inputs, targets = self.windows(split)
        return inputs[:, : self.lookback, : len(self.variates)], targets

    def raw(self, split):
        return self._raw(split, slice(None))

    def _raw(self, split, picked):
        """Returns raw inputs and targets of picked windows."""
        inputs, targets = self.windows(split)
        mean, deviation = self._scales_of(split, picked)
        raw = (inputs[picked] * deviation + mean).astype("float32")
        mean, deviation = self._scales_of(split, picked, len(self.variates))
        return raw, (targets[picked] * deviation + mean).astype("float32")

    def _scales_of(self, split, picked, count=None):
        """Returns mean and deviation of the first columns of picked windows."""
        scales = self._scale_of[split]
        return [(s[picked] if self.series else s)[..., :count] for s in scales]

    def examples(self, count):
        """Returns raw test windows for a picture, spread over the split."""
        whole = np.isfinite(self.windows("test")[1][:, -1, 0])
        picked = np.linspace(0, np.flatnonzero(whole)[-1], count).astype(int)
        return self._raw("test", picked)
