"""Series out of CSV files, with errors that name file, line and column."""

import csv
import datetime
import math
import pathlib

import numpy as np

from attention_zoo.recipes.core.errors import UserError, unknown

TIME_COLUMNS = ("date", "time", "timestamp", "datetime")


def read_series(path, variates, rows=1, step=None, interpolate=False):
    """Reads a regular series.

    Args:
        path: A CSV file with a header, a column of time stamps (ISO 8601) named like
            one of `TIME_COLUMNS`, and a column for each variate. Others are left out.
        variates: Names of the columns.
        rows: Least number of rows.
        step: Seconds between rows that the reader needs, or None for any.
        interpolate: Whether empty cells are filled on a line between their neighbours.

    Returns:
        Time stamps `(T,)`, values `(T, C)` in float32, and how many cells were filled.

    Raises:
        UserError: One line that names the file and the line or the column.
    """
    path = pathlib.Path(path)
    lines, stamps, cells = _read_cells(path, variates)
    if len(stamps) < max(rows, 2):
        raise UserError(f"{path} has {len(stamps)} rows, {max(rows, 2)} are needed")
    places = [f"{path}, line {line}" for line in lines]
    dates = parse_dates(stamps, places)
    found = check_regular(dates, places)
    if step is not None and found != step:
        raise UserError(
            f"{path} has a row every {span(found)}, the model was trained on a row "
            f"every {span(step)}"
        )
    values = np.array(cells, dtype="float64")
    gaps = np.argwhere(np.isnan(values))
    if len(gaps) and not interpolate:
        row, column = gaps[0]
        raise UserError(
            f"{places[row]}: column {variates[column]} is empty, as are "
            f"{len(gaps) - 1} more cells: --interpolate fills gaps between neighbours"
        )
    values = fill_gaps(values, variates, path)
    return dates, values.astype("float32"), len(gaps)


def _read_cells(path, variates):
    """Returns line numbers, time stamps and rows of floats, NaN where empty."""
    lines, stamps, cells, line = [], [], [], 1
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            clock, columns = _find_columns(path, header, variates)
            for row in reader:
                line = reader.line_num
                if not row:
                    continue
                place = f"{path}, line {line}"
                if len(row) != len(header):
                    raise UserError(
                        f"{place} has {len(row)} cells, the header {len(header)}"
                    )
                lines.append(line)
                stamps.append(row[clock].strip())
                cells.append(
                    [
                        _number(row[i], place, name)
                        for i, name in zip(columns, variates, strict=True)
                    ]
                )
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file in UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path}, line {line + 1}: {error}") from None
    return lines, stamps, cells


def _find_columns(path, header, variates):
    """Returns the index of the time stamps and those of the variates."""
    if not header:
        raise UserError(f"{path} is empty")
    for name in variates:
        if header.count(name) > 1:
            raise UserError(f"{path} has {header.count(name)} columns named {name}")
        if name not in header:
            hint = unknown("column", name, header)
            raise UserError(f"{path} has no column {name}: {hint}")
    lower = [name.lower() for name in header]
    clock = next((name for name in TIME_COLUMNS if name in lower), None)
    if clock is None:
        raise UserError(
            f"{path} has no column of time stamps: name it {', '.join(TIME_COLUMNS)}"
        )
    return lower.index(clock), [header.index(name) for name in variates]


def _number(text, place, name):
    """Returns a cell as a float, NaN where it is empty."""
    text = text.strip()
    if text.lower() in ("", "nan", "na", "null"):
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise UserError(f"{place}: column {name} holds '{text}', which is no number")
    return value


def parse_dates(stamps, places):
    """Returns ISO 8601 strings as an array of datetime64[s].

    Args:
        stamps: List of strings.
        places: List of strings that say where each stands.
    """
    dates = []
    for stamp, place in zip(stamps, places, strict=True):
        try:
            date = datetime.datetime.fromisoformat(stamp)
        except ValueError:
            raise UserError(f"{place}: '{stamp}' is no time stamp") from None
        if date.tzinfo is not None:
            date = date.astimezone(datetime.UTC).replace(tzinfo=None)
        dates.append(date)
    return np.array(dates, dtype="datetime64[s]")


def check_regular(dates, places):
    """Returns the seconds between time stamps, after a check that all are alike.

    Args:
        dates: Array of datetime64[s] of at least two.
        places: List of strings that say where each stands.
    """
    steps = np.diff(dates).astype("int64")
    for wrong in np.flatnonzero(steps <= 0)[:1]:
        raise UserError(
            f"{places[wrong + 1]}: the time stamp {_stamp(dates[wrong + 1])} is not "
            f"after {_stamp(dates[wrong])}, the one before it"
        )
    spans, counts = np.unique(steps, return_counts=True)
    usual = int(spans[counts.argmax()])
    for wrong in np.flatnonzero(steps != usual)[:1]:
        raise UserError(
            f"{places[wrong + 1]}: the time stamp {_stamp(dates[wrong + 1])} comes "
            f"{span(int(steps[wrong]))} after the one before it, most others "
            f"{span(usual)}"
        )
    return usual


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


def _stamp(date):
    return str(date).replace("T", " ")


def span(seconds):
    """Returns seconds as words, e.g. `15 minutes`."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'s' * (count != 1)}"
    return f"{seconds} seconds"
