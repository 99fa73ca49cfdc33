"""The labels of own texts: one column, several columns of 0 and 1, or lists."""

import collections
import fnmatch

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import tables

FLAGS = {"0": False, "0.0": False, "false": False}
FLAGS |= {"1": True, "1.0": True, "true": True}


def labels_of(table, file, given):
    """Returns the columns of the labels, and the label or a tuple of each row.

    Args:
        table: The `pandas.DataFrame`.
        file: Where it comes from, for messages.
        given: Dict of options. `label` names a column, or several by commas and
            patterns, which hold 0 and 1; `label_separator` is what stands between the
            labels of one cell.
    """
    name, separator = given["label"], given.get("label_separator")
    if name not in map(str, table.columns) and name and set(name) & set(",*?["):
        if separator:
            raise UserError(
                "--label-separator is for one column of labels, and --label names "
                f"several: '{name}'"
            )
        columns = flag_columns(table, file, name, given)
        return columns, rows_of_flags(table, file, columns)
    column = tables.need_column(table, name, file, "--label")
    values = list(table[column])
    if separator:
        values = [split_cell(value, separator) for value in values]
    elif any(isinstance(value, (list, tuple, np.ndarray)) for value in values):
        values = [as_tuple(value) for value in values]
    return [column], values


def flag_columns(table, file, names, given):
    """Returns the columns that a list of names and patterns stands for.

    A pattern stands for the columns that fit it and hold 0 and 1 alone.
    """
    found = []
    others = {given.get("text"), given.get("split"), "split"}
    for name in filter(None, (word.strip() for word in names.split(","))):
        if not set(name) & set("*?["):
            found.append(tables.need_column(table, name, file, "--label"))
            continue
        fitting = [c for c in fnmatch.filter(table.columns, name) if c not in others]
        fitting = [c for c in fitting if {*map(as_flag, table[c].unique())} <= {0, 1}]
        if not fitting:
            raise UserError(
                f"{file} has no column of 0 and 1 that fits '{name}' (--label)"
            )
        found += fitting
    return [*dict.fromkeys(found)]


def rows_of_flags(table, file, columns):
    """Returns the tuple of the columns with a 1 for each row of a table."""
    flags = []
    for column in columns:
        values = [as_flag(value) for value in table[column]]
        if None in values:
            i = values.index(None)
            raise UserError(
                f"{file}, row {i + 1}: the column '{column}' holds "
                f"'{table[column].iloc[i]}', and columns of labels hold 0 or 1"
            )
        flags.append(values)
    return [
        tuple(c for c, flag in zip(columns, row, strict=True) if flag)
        for row in zip(*flags, strict=True)
    ]


def as_flag(value):
    """Returns whether a cell says yes, or None where it says neither yes nor no."""
    return FLAGS.get(str(value).strip().lower())


def split_cell(value, separator):
    """Returns the labels of a cell, a tuple."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(separator) if word.strip())
    return () if value is None or value != value else (value,)


def as_tuple(value):
    """Returns a list of labels as a tuple; an empty cell has none."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(value)
    return () if value is None or value != value else (value,)


def rarest(rows):
    """Returns the label of each row that the fewest rows have; `""` of none.

    Args:
        rows: List of tuples of labels.
    """
    counts = collections.Counter(label for row in rows for label in row)
    return [min(row, key=lambda n: (counts[n], n), default="") for row in rows]
