"""Several series below each other in a file, as columns beside each other."""

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series.columns import (
    find_time_column,
    read_values,
    stamps_of,
)
from attention_zoo.recipes.tasks.series.table import Table


def widen(table, name, wanted, rows, options, notes):
    """Returns a table with a column for each series of the long form.

    It holds the stretch of time that all series have. Series of fewer rows than are
    needed are left out.

    Args:
        table: The `Table`.
        name: The column that tells the series apart.
        wanted: Names of columns of the long form or of series, or none for all.
        rows: Least number of rows of a series.
        options: The `Options`.
        notes: List of lines, to which what is left out is added.

    Returns:
        The table, and the names of the series that are wanted, none for all.
    """
    import pandas as pd

    time = find_time_column(table, [*wanted, name], options)
    if name in (time, *wanted):
        what = "holds the time stamps" if name == time else "is one to forecast"
        raise UserError(
            f"{table.path}: the column {name} {what}, and cannot tell series apart "
            "(--id)"
        )
    columns = [c for c in wanted if c in table.frame]
    given, columns = read_values(
        _without(table, name), time, columns or _numeric(table, (name, time)), []
    )
    stamps = stamps_of(table, time, options)
    times, row = np.unique(stamps.times, return_inverse=True)
    names = table.frame[name].astype("str").str.strip()
    code, series = pd.factorize(names)
    for i in np.flatnonzero(pd.Series(code * len(times) + row).duplicated())[:1]:
        raise UserError(
            f"{table.place(i)}: series {names[i]} has the time stamp "
            f"{stamps.text(i)} for the second time"
        )
    wide = np.full((len(times), len(series), len(columns)), np.nan)
    wide[row, code] = given
    first, last = _spans(row, code, len(series))
    kept = np.flatnonzero(np.bincount(code) >= rows)
    short = [series[i] for i in range(len(series)) if i not in {*kept}]
    if short:
        notes.append(f"shorter than {rows} rows, left out: {', '.join(short)}")
    if not len(kept):
        raise UserError(f"{table.path}: no series has {rows} rows")
    start, end = first[kept].max(), last[kept].min() + 1
    if end - start < rows:
        late, early = kept[first[kept].argmax()], kept[last[kept].argmin()]
        raise UserError(
            f"{table.path}: the series share {max(0, end - start)} rows, {rows} are "
            f"needed: {series[late]} begins last and {series[early]} ends first"
        )
    if end - start < len(times):
        notes.append(
            f"{len(times) - end + start} rows left out that not all series have"
        )
    texts = table.frame[time].astype("str").to_numpy()
    lines = np.zeros(len(times), "int64")
    lines[row[::-1]] = np.arange(len(row))[::-1]  # the first row of each time
    frame = {time: pd.Series(texts[lines[start:end]], dtype="str")}
    for i in kept:
        for k, column in enumerate(columns):
            title = series[i] if len(columns) == 1 else f"{series[i]} {column}"
            frame[title] = wide[start:end, i, k]
    found = _without(table)
    found.frame, found.lines = pd.DataFrame(frame), table.lines[lines[start:end]]
    notes.append(f"{len(kept)} series, told apart by {name}")
    return found, [c for c in wanted if c not in table.frame]


def part_of(table, rows):
    """Returns a copy of a table with some of its rows."""
    copy = _without(table)
    copy.frame = table.frame.iloc[rows].reset_index(drop=True)
    copy.lines = table.lines[rows]
    return copy


def _without(table, *names):
    """Returns a copy of a table without some columns."""
    copy = Table.__new__(Table)
    vars(copy).update(vars(table))
    copy.frame = table.frame.drop(columns=list(names))
    return copy


def _numeric(table, other):
    """Returns the columns of numbers beside some others."""
    rest = [column for column in table.frame if column not in other]
    found = [column for column in rest if table.numbers(column)[1] is None]
    if not found:
        raise UserError(f"{table.path} has no column of numbers beside {other[1]}")
    return found


def _spans(row, code, count):
    """Returns the first and the last row of each series."""
    first, last = np.full(count, len(row)), np.full(count, -1)
    np.minimum.at(first, code, row)
    np.maximum.at(last, code, row)
    return first, last
