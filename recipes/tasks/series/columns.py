"""Which columns of a table are the time stamps and the variates of a series."""

import re

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series.stamps import Stamps, read_stamps

TIME_COLUMNS = ("date", "time", "timestamp", "datetime", "ds")
NO_TIME = "none"  # of --time: the rows are counted
NOT_TAKEN = "not taken"  # how the line on columns that are left begins
MOSTLY = 0.5  # share of numbers from which on a column is one of numbers


def find_time_column(table, wanted, options):
    """Returns the name of the column of time stamps, or `NO_TIME`."""
    if options.time == NO_TIME and NO_TIME not in table.frame:
        return NO_TIME
    if options.time is not None:
        table.check_column(options.time)
        return options.time
    lower = {name.lower(): name for name in reversed(list(table.frame))}
    for name in TIME_COLUMNS:
        if name in lower and lower[name] not in wanted:
            return lower[name]
    for name in table.frame:
        if name not in wanted and _holds_dates(table.frame[name]):
            return name
    raise UserError(
        f"{table.path} has no column of time stamps: name it "
        f"{', '.join(TIME_COLUMNS)}, or say which with --time COLUMN; --time none "
        "counts the rows"
    )


def find_columns(table, wanted, options, notes, other=()):
    """Returns the column of time stamps and the names of those that are forecast.

    Args:
        table: The `Table`.
        wanted: Names of the columns that are forecast, or none for all columns of
            numbers that nothing else is said of.
        options: The `Options`.
        notes: List of lines, to which what is not taken is added.
        other: Names of columns that are no variates.

    Raises:
        UserError: One line, for a column that is not there or named twice over.
    """
    beside = {"--past": options.past, "--known": options.known}
    for name in (*wanted, *options.past, *options.known):
        table.check_column(name)
    time = find_time_column(table, (*wanted, *options.past, *options.known), options)
    places = {"--time": (time,), "--id": other, "--target": wanted, **beside}
    owner: dict = {}
    for option, names in places.items():
        for name in names:
            if name in owner:
                raise UserError(
                    f"{table.path}: the column {name} is given by {owner[name]} and "
                    f"by {option}: it can be only one of them"
                )
            owner[name] = option
    apart = (*other, *options.past, *options.known)
    _, found = read_values(table, time, wanted, notes, apart)
    return time, found


def _holds_dates(column):
    """Returns whether the first cells of a column are dates and no numbers."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(column.dtype):
        return False
    head = column.head(20).str.strip()
    if pd.to_numeric(head, errors="coerce").notna().any():
        return False
    return (
        pd.to_datetime(head, format="ISO8601", errors="coerce", utc=True).notna().all()
    )


def stamps_of(table, time, options):
    """Returns the `Stamps` of a table."""
    if time == NO_TIME:
        numbers = np.arange(len(table.frame))
        return Stamps(numbers, numbers, rows=True)
    return read_stamps(
        table.frame[time], table.place, options.time_zone, options.time_format
    )


def read_values(table, time, wanted, notes, apart=()):
    """Returns values `(T, C)` and the names of their columns.

    Args:
        table: The `Table`.
        time: Name of the column of time stamps.
        wanted: Names of the columns, or none for all columns of numbers.
        notes: List of lines, to which what is not taken is added.
        apart: Names of columns that are something else.
    """
    values, names, left = [], [], []
    for name in wanted or [n for n in table.frame if n not in (time, *apart)]:
        column, wrong = table.numbers(name)
        if wrong is not None:
            known = np.isfinite(column).sum()
            if wanted or known > MOSTLY * len(column):
                table.refuse_cell(wrong, name)
            left.append(f"{name} (no numbers)")
        elif not wanted and name == "" or re.fullmatch(r"Unnamed: \d+", name):
            left.append("the column without a name")
        elif not wanted and np.isnan(column).all():
            left.append(f"{name} (empty)")
        else:
            values.append(column)
            names.append(name)
    if wanted:
        left = [n for n in table.frame if n not in (*wanted, *apart, time)]
    if left:
        notes.append(f"{NOT_TAKEN}: {', '.join(left)}")
    if table.decimal == ",":
        notes.append("decimal commas are read as such")
    if not names:
        raise UserError(f"{table.path} has no column of numbers beside {time}")
    return np.stack(values, axis=-1), names
