"""Series out of CSV and Parquet files, with errors that name file, line and column."""

import dataclasses

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series.columns import (
    find_time_column,
    read_values,
    stamps_of,
)
from attention_zoo.recipes.tasks.series.long_form import widen
from attention_zoo.recipes.tasks.series.stamps import Stamps
from attention_zoo.recipes.tasks.series.steps import Step, find_step
from attention_zoo.recipes.tasks.series.table import Table

ID_COLUMN = "unique_id"


@dataclasses.dataclass(frozen=True)
class Options:
    """How a file is read.

    Args:
        time: Name of the column of time stamps, `"none"` to count the rows, or None
            to find it.
        target: Names of the columns that are forecast, or None for every numeric one.
        id: Name of the column that tells several series apart, or None to find it.
        time_zone: Name of the zone of stamps without an offset, or None.
        time_format: Form of the stamps, as `strftime` has it, or None.
        interpolate: Whether gaps and absent rows are filled on a line between their
            neighbours.
        sort: Whether rows are brought into the order of their stamps.
    """

    time: str | None = None
    target: tuple | None = None
    id: str | None = None
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
        values: float32 array `(T, C)`.
        variates: Names of the columns.
        time: Name of the column of the stamps.
        filled: How many empty cells were filled.
        absent: How many rows were filled in.
        notes: Lines that say what was not taken and what was changed.
    """

    stamps: Stamps
    step: Step
    values: np.ndarray
    variates: list
    time: str
    filled: int = 0
    absent: int = 0
    notes: list = dataclasses.field(default_factory=list)


def read_series(path, variates=None, rows=2, step=None, options=None, fill=True):
    """Reads a regular series.

    Args:
        path: A CSV or Parquet file, see `Table`: a column of time stamps and one for
            each variate; or the long form, columns of the series' name, time stamp and
            value.
        variates: Names of the columns that a model takes. Defaults to those that
            `options.target` names, and to every column of numbers.
        rows: Least number of rows.
        step: The `Step` between rows that the reader needs, or None for any.
        options: The `Options`.
        fill: Whether gaps that may be filled are; otherwise they stay NaN.

    Returns:
        A `Series`.

    Raises:
        UserError: One line that names the file and the line or the column.
    """
    options = options or Options()
    table = Table(path)
    notes: list = []
    name = options.id or (ID_COLUMN if ID_COLUMN in table.frame else None)
    wanted = list(variates or options.target or ())
    if name is not None:
        table.check_column(name)
        table, wanted = widen(table, name, wanted, rows, options, notes)
    for column in wanted:
        table.check_column(column)
    time = find_time_column(table, wanted, options)
    least = max(rows, 2)
    if len(table.frame) < least:
        raise UserError(f"{path} has {len(table.frame)} rows, {least} are needed")
    stamps = stamps_of(table, time, options)
    values, names = read_values(table, time, wanted, notes)
    lines = np.arange(len(values))
    if options.sort:
        lines = np.argsort(stamps.times, kind="stable")
        stamps, values = stamps.take(lines), values[lines]
    series = _regular(table, stamps, lines, values, names, time, step, options, notes)
    filled = fill_gaps(series.values, names, table.path)  # refuses an empty column
    return dataclasses.replace(series, values=filled) if fill else series


def _regular(table, stamps, lines, values, names, time, step, options, notes):
    """Returns the `Series` of rows in their order, NaN in its gaps."""

    def place(i):
        return table.place(lines[i])

    found, position = find_step(stamps, place, step, options.interpolate)
    if step is not None and str(found) != str(step):
        raise UserError(
            f"{table.path} has a row every {found.words}, the model was trained on a "
            f"row every {step.words}"
        )
    gaps = np.argwhere(np.isnan(values))
    if len(gaps) and not options.interpolate:
        row, column = gaps[0]
        raise UserError(
            f"{place(row)}: column {names[column]} is empty, as are {len(gaps) - 1} "
            "more cells: --interpolate fills gaps between neighbours"
        )
    absent = int(position[-1] + 1 - len(position))
    if absent:
        whole = np.full((position[-1] + 1, values.shape[1]), np.nan)
        whole[position] = values
        values, stamps = whole, _spread(stamps, position)
        notes.append(f"{absent} absent row{'s' * (absent != 1)} filled in")
    return Series(
        stamps, found, values.astype("float32"), names, time, len(gaps), absent, notes
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
