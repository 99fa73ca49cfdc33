"""Series out of CSV and Parquet files, with errors that name file, line and column."""

import dataclasses

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series.columns import (
    find_columns,
    read_values,
    stamps_of,
)
from attention_zoo.recipes.tasks.series.long_form import widen
from attention_zoo.recipes.tasks.series.stamps import Stamps
from attention_zoo.recipes.tasks.series.steps import Step, find_step
from attention_zoo.recipes.tasks.series.table import Table

ID_COLUMN = "unique_id"
LEFT = "{:,} rows behind the last value left out"


@dataclasses.dataclass(frozen=True)
class Options:
    """How a file is read.

    Args:
        time: Name of the column of time stamps, `"none"` to count the rows, or None
            to find it.
        target: Names of the columns that are forecast, or None for every numeric one.
        id: Name of the column that tells several series apart, or None to find it.
        past: Names of the columns that a model sees up to now and does not forecast.
        known: Names of the columns that are known over the horizon too.
        as_variates: Whether the series of the long form are read as variates beside
            each other, over the time that all have.
        time_zone: Name of the zone of stamps without an offset, or None.
        time_format: Form of the stamps, as `strftime` has it, or None.
        interpolate: Whether gaps and absent rows are filled on a line between their
            neighbours.
        sort: Whether rows are brought into the order of their stamps.
    """

    time: str | None = None
    target: tuple | None = None
    id: str | None = None
    past: tuple = ()
    known: tuple = ()
    as_variates: bool = False
    time_zone: str | None = None
    time_format: str | None = None
    interpolate: bool = False
    sort: bool = False


@dataclasses.dataclass(frozen=True)
class Series:
    """A regular series.

    Args:
        stamps: The `Stamps` `(T,)`.
        step: The `Step` between them.
        values: float32 array `(T, C)`, the variates first, then the past and the known
            columns.
        variates: Names of the columns that are forecast.
        time: Name of the column of the stamps.
        filled: How many empty cells were filled.
        absent: How many rows were filled in.
        notes: Lines that say what was not taken and what was changed.
        ahead: How many of the last rows hold known columns alone.
        left: How many such rows were left out.
    """

    stamps: Stamps
    step: Step
    values: np.ndarray
    variates: list
    time: str
    filled: int = 0
    absent: int = 0
    notes: list = dataclasses.field(default_factory=list)
    ahead: int = 0
    left: int = 0

    def past_only(self):
        """Returns the series without the rows that hold known columns alone."""
        if not self.ahead:
            return self
        end = len(self.values) - self.ahead
        note = LEFT.format(self.ahead)
        return dataclasses.replace(
            self,
            stamps=self.stamps.take(slice(end)),
            values=self.values[:end],
            notes=[*self.notes, note],
            ahead=0,
            left=self.ahead,
        )


def read_series(path, variates=None, rows=2, step=None, options=None, fill=True):
    """Reads a regular series.

    Args:
        path: A `Table`, or the path of a CSV or Parquet file: a column of time stamps
            and one for each variate; or the long form, columns of the series' name,
            time stamp and value, whose series become variates.
        variates: Names of the columns that a model forecasts. Defaults to those that
            `options.target` names, and to every column of numbers.
        rows: Least number of rows, those apart that hold known columns alone.
        step: The `Step` between rows that the reader needs, or None for any.
        options: The `Options`.
        fill: Whether gaps that may be filled are; otherwise they stay NaN.

    Returns:
        A `Series`.

    Raises:
        UserError: One line that names the file and the line or the column.
    """
    options = options or Options()
    table, notes = as_table(path), []
    name = id_column(table, options)
    wanted = list(variates or options.target or ())
    if name is not None:
        if options.past or options.known:
            raise UserError("--as-variates takes no --past and no --known columns")
        table.check_column(name)
        table, wanted = widen(table, name, wanted, rows, options, notes)
    time, wanted = find_columns(table, wanted, options, notes)
    return series_of(table, time, wanted, rows, step, options, notes, fill)


def as_table(path):
    """Returns the `Table` of a path or of a `pandas.DataFrame`."""
    return path if isinstance(path, Table) else Table(path)


def id_column(table, options):
    """Returns the name of the column that tells series apart, or None."""
    return options.id or (ID_COLUMN if ID_COLUMN in table.frame else None)


def series_of(table, time, variates, rows, step, options, notes, fill=True):
    """Returns the `Series` of a table that holds one.

    Args:
        table: The `Table`.
        time: Name of the column of time stamps, or `NO_TIME`.
        variates: Names of the columns that are forecast.
        rows, step, options, fill: See `read_series`.
        notes: List of lines, to which what was changed is added.
    """
    names = [*variates, *options.past, *options.known]
    if len(table.frame) < max(rows, 2):
        raise too_short(table, len(table.frame), rows)
    stamps = stamps_of(table, time, options)
    values, _ = read_values(table, time, names, [])
    lines = np.arange(len(values))
    if options.sort:
        lines = np.argsort(stamps.times, kind="stable")
        stamps, values = stamps.take(lines), values[lines]
    now, end = found_ends(values, len(options.known))
    if now < max(rows, 2):
        raise too_short(table, now, rows)
    stamps, values, lines = stamps.take(slice(end)), values[:end], lines[:end]
    series = _regular(
        table, stamps, lines, values, names, time, step, options, notes, end - now
    )
    filled = fill_gaps(series.values, names, table.path)  # refuses an empty column
    series = dataclasses.replace(series, variates=list(variates))
    return dataclasses.replace(series, values=filled) if fill else series


class TooShort(UserError):
    """A series has too few rows."""


def too_short(table, count, rows):
    """Returns the error of a series of too few rows."""
    return TooShort(f"{table.path} has {count} rows, {max(rows, 2)} are needed")


def found_ends(values, known):
    """Returns how many rows lie up to now, and up to the end of the known columns.

    Behind now there are rows only where some columns are known ahead.

    Args:
        values: Array `(T, C)`, the known columns last.
        known: Integer, how many they are.
    """
    count = len(values)
    if not known:
        return count, count
    seen = np.isfinite(values[:, :-known]).any(axis=1)
    now = count - int(seen[::-1].argmax()) if seen.any() else 0
    open_rows = np.isnan(values[now:, -known:]).any(axis=1)
    return now, now + int(open_rows.argmax() if open_rows.any() else count - now)


def _regular(table, stamps, lines, values, names, time, step, options, notes, ahead):
    """Returns the `Series` of rows in their order, NaN in its gaps."""

    def place(i):
        return table.place(lines[i])

    found, position = find_step(stamps, place, step, options.interpolate)
    if step is not None and str(found) != str(step):
        raise UserError(
            f"{table.path} has a row every {found.words}, the model was trained on a "
            f"row every {step.words}"
        )
    empty = np.isnan(values)
    empty[len(values) - ahead :] = False  # of what is forecast, or seen up to now
    gaps = np.argwhere(empty)
    if len(gaps) and not options.interpolate:
        row, column = gaps[0]
        raise UserError(
            f"{place(row)}: column {names[column]} is empty, as are {len(gaps) - 1} "
            "more cells: --interpolate fills gaps between neighbours"
        )
    absent = int(position[-1] + 1 - len(position))
    ahead = int(position[-1] - position[len(position) - 1 - ahead])
    if absent:
        whole = np.full((position[-1] + 1, values.shape[1]), np.nan)
        whole[position] = values
        values, stamps = whole, _spread(stamps, position)
        notes.append(f"{absent} absent row{'s' * (absent != 1)} filled in")
    return Series(
        stamps,
        found,
        values.astype("float32"),
        names,
        time,
        len(gaps),
        absent,
        notes,
        ahead,
    )


def _spread(stamps, position):
    """Returns stamps with those of absent rows between them."""
    at = np.arange(position[-1] + 1)
    times = np.rint(np.interp(at, position, stamps.times)).astype("int64")
    wall = np.rint(np.interp(at, position, stamps.wall)).astype("int64")
    return dataclasses.replace(stamps, times=times, wall=wall)


def fill_gaps(values, variates, where):
    """Returns `(T, C)` values with NaN filled on a line between the neighbours.

    Before the first and behind the last value of a column that value is taken.

    Args:
        values: Float array.
        variates: Names of the columns.
        where: The file or data set, for the error when a column is empty.
    """
    filled = np.array(values)
    for column, name in zip(filled.T, variates, strict=True):
        gap = np.isnan(column)
        if gap.all():
            raise UserError(f"{where}: column {name} holds no number at all")
        if gap.any():
            at = np.flatnonzero(~gap)
            column[gap] = np.interp(np.flatnonzero(gap), at, column[at])
    return filled
