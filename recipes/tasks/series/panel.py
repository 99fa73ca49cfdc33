"""Several series below each other in a file, each with a span of its own."""

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series.columns import find_columns
from attention_zoo.recipes.tasks.series.long_form import part_of
from attention_zoo.recipes.tasks.series.reader import (
    ID_COLUMN,
    TooShort,
    as_table,
    id_column,
    series_of,
)

NAMED = 5  # of the series that are left out


def read_panel(path, variates=None, rows=2, step=None, options=None, fill=True):
    """Reads the series of the long form, each over the time that it has itself.

    Args:
        path: A `Table`, or the path of a CSV or Parquet file, with a column of the
            series' name, one of time stamps and one for each variate.
        variates: Names of the columns that are forecast. Defaults to those that
            `options.target` names, and to every column of numbers.
        rows: Least number of rows; shorter series are left out.
        step: The `Step` between rows that the reader needs. Defaults to `None`: that
            of the longest series, which all others must have too.
        options: The `Options`.
        fill: Whether gaps that may be filled are; otherwise they stay NaN.

    Returns:
        Dict from the names of the series to `Series`, in the order of the file; the
        names of those that are left out; and lines on what was not taken.

    Raises:
        UserError: One line that names the file and the line or the column.
    """
    table, notes = as_table(path), []
    column = id_column(table, options) or ID_COLUMN
    table.check_column(column)
    wanted = list(variates or options.target or ())
    time, names = find_columns(table, wanted, options, notes, (column,))
    members = _members(table, column)
    found, short = {}, []
    for name in sorted(members, key=lambda name: -len(members[name])):
        part = part_of(table, members[name])
        try:
            series = series_of(part, time, names, rows, step, options, [], fill)
        except TooShort:
            short.append(name)
            continue
        except UserError as error:
            raise UserError(f"{error} (series {name})") from None
        found[name], step = series, step or series.step
    if not found:
        raise UserError(
            f"{table.path}: no series of {len(members)} has {max(rows, 2)} rows"
        )
    return {name: found[name] for name in members if name in found}, short, notes


def left_out(names, rows):
    """Returns why series are left out, as `{reason: how many}`, or an empty dict."""
    shown = ", ".join(sorted(names)[:NAMED])
    more = f" and {len(names) - NAMED:,} more" * (len(names) > NAMED)
    reason = f"series shorter than {rows} rows: {shown}{more}"
    return {reason: len(names)} if names else {}


def _members(table, column):
    """Returns a dict from the names of the series to the places of their rows."""
    import pandas as pd

    names = table.frame[column].astype("str").str.strip()
    for i in np.flatnonzero((names == "").to_numpy())[:1]:
        raise UserError(f"{table.place(i)}: column {column} is empty")
    codes, members = pd.factorize(names)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(members)))
    places = np.split(order, ends[:-1])
    return dict(zip(members, places, strict=True))
