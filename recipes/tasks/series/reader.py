"""Series out of CSV and Parquet files, with errors that name file, line and column."""

import dataclasses
import pathlib
import re

import numpy as np

from attention_zoo.recipes.core.errors import UserError, unknown
from attention_zoo.recipes.tasks.series.stamps import (
    Stamps,
    Step,
    find_step,
    read_stamps,
)

TIME_COLUMNS = ("date", "time", "timestamp", "datetime", "ds")
NO_TIME = "none"  # of --time: the rows are counted
ID_COLUMN = "unique_id"
NOT_TAKEN = "not taken"  # how the line on columns that are left begins
GAPS = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none")
DELIMITERS = ",;\t|"
MOSTLY = 0.5  # share of numbers from which on a column is one of numbers


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


class Table:
    """The cells of a file as strings, or as numbers where a Parquet file has them.

    Args:
        path: A CSV file with a header, its cells between `,`, `;`, tabs or `|`; or a
            Parquet file.

    Attributes:
        frame: A `pandas.DataFrame`.
        lines: The line of each row in a CSV file, or its number in a Parquet file.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.decimal = "."
        try:
            if self.path.suffix.lower() in (".parquet", ".pq"):
                self._read_parquet()
            else:
                self._read_csv()
        except FileNotFoundError:
            raise UserError(f"there is no file {path}") from None
        except OSError as error:
            raise UserError(
                f"{path} cannot be read: {error.strerror or error}"
            ) from None
        except UnicodeDecodeError:
            raise UserError(f"{path} is not a text file in UTF-8") from None

    def place(self, row):
        """Returns where a row stands, for an error."""
        return f"{self.path}, {self.unit} {self.lines[row]}"

    def _read_parquet(self):
        import pandas as pd

        try:
            self.frame = pd.read_parquet(self.path)
        except ValueError as error:
            raise UserError(f"{self.path} is no Parquet file: {error}") from None
        if self.frame.index.name or isinstance(self.frame.index, pd.DatetimeIndex):
            index = self.frame.index.name or "time"
            self.frame = self.frame.rename_axis(index).reset_index()
        self.frame.columns = [str(name) for name in self.frame.columns]
        for name in self.frame:
            if pd.api.types.is_datetime64_any_dtype(self.frame[name]):
                texts = [t.isoformat(" ") for t in self.frame[name]]
                self.frame[name] = pd.Series(texts, dtype="str")
        self.lines, self.unit = np.arange(1, len(self.frame) + 1), "row"
        self._check_header(list(self.frame))

    def _read_csv(self):
        import pandas as pd

        with open(self.path, encoding="utf-8-sig") as file:
            first = file.readline()
        self.delimiter = max(DELIMITERS, key=first.count)
        try:
            frame = pd.read_csv(
                self.path,
                header=None,
                dtype="str",
                na_filter=False,
                skip_blank_lines=False,
                sep=self.delimiter,
                encoding="utf-8-sig",
            )
        except pd.errors.EmptyDataError:
            raise UserError(f"{self.path} is empty") from None
        except pd.errors.ParserError as error:
            raise UserError(self._parser_fault(str(error))) from None
        header = [str(name).strip() for name in frame.iloc[0]]
        filled = (frame != "").any(axis=1).to_numpy(copy=True)
        filled[0] = False
        self.lines, self.unit = np.flatnonzero(filled) + 1, "line"
        self.frame = frame[filled].reset_index(drop=True)
        self.frame.columns = header
        self._check_header(header)

    def _parser_fault(self, text):
        counts = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text)
        if counts:
            expected, line, seen = counts.groups()
            return f"{self.path}, line {line} has {seen} cells, the header {expected}"
        quote = re.search(r"EOF inside string starting at row (\d+)", text)
        if quote:
            line = int(quote[1]) + 1
            return f"{self.path}, line {line}: unexpected end of data in quotes"
        return f"{self.path}: {text}"

    def _check_header(self, header):
        for name in header:
            if name and header.count(name) > 1:
                raise UserError(
                    f"{self.path} has {header.count(name)} columns named {name}"
                )

    def check_column(self, name):
        """Raises `UserError` where there is no column of a name."""
        if name not in self.frame:
            hint = unknown("column", name, [n for n in self.frame if n])
            raise UserError(f"{self.path} has no column {name}: {hint}")

    def numbers(self, name):
        """Returns a column as floats, NaN where empty, and its first wrong row or None.

        Where cells stand between semicolons a decimal comma is read as such.
        """
        import pandas as pd

        column = self.frame[name]
        if not pd.api.types.is_string_dtype(column.dtype):
            if pd.api.types.is_numeric_dtype(column.dtype):
                values = column.to_numpy("float64", na_value=np.nan)
                wrong = np.flatnonzero(np.isinf(values))
                return values, (wrong[0] if len(wrong) else None)
            column = column.astype("str")
        cells = column.fillna("").str.strip()
        empty = cells.str.lower().isin(GAPS).to_numpy()
        values = pd.to_numeric(cells.where(~empty, "nan"), errors="coerce")
        if values.isna().sum() > empty.sum() and getattr(self, "delimiter", "") == ";":
            pointed = cells.where(~empty, "nan").str.replace(",", ".")
            commas = pd.to_numeric(pointed, errors="coerce")
            if commas.isna().sum() < values.isna().sum():
                values, self.decimal = commas, ","
        values = values.to_numpy("float64")
        wrong = np.flatnonzero(~empty & ~np.isfinite(values))
        return values, (wrong[0] if len(wrong) else None)

    def refuse_cell(self, row, name):
        """Raises `UserError` for a cell that is no number."""
        raise UserError(
            f"{self.place(row)}: column {name} holds '{self.frame[name].iloc[row]}', "
            "which is no number"
        )


def read_series(path, variates=None, rows=2, step=None, options=None):
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
    stamps = _stamps(table, time, options)
    values, names = _values(table, time, wanted, notes)
    lines = np.arange(len(values))
    if options.sort:
        lines = np.argsort(stamps.times, kind="stable")
        stamps, values = stamps.take(lines), values[lines]
    return _regular(table, stamps, lines, values, names, time, step, options, notes)


def _regular(table, stamps, lines, values, names, time, step, options, notes):
    """Returns the `Series` of rows in their order, its gaps filled."""

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
    values = fill_gaps(values, names, table.path)
    return Series(
        stamps, found, values.astype("float32"), names, time, len(gaps), absent, notes
    )


def _spread(stamps, position):
    """Returns stamps with those of absent rows between them."""
    at = np.arange(position[-1] + 1)
    times = np.rint(np.interp(at, position, stamps.times)).astype("int64")
    wall = np.rint(np.interp(at, position, stamps.wall)).astype("int64")
    return dataclasses.replace(stamps, times=times, wall=wall)


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


def _holds_dates(column):
    """Returns whether the first cells of a column are dates and no numbers."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(column.dtype):
        return False
    head = column.head(20).str.strip()
    if pd.to_numeric(head, errors="coerce").notna().any():
        return False
    return pd.to_datetime(head, format="ISO8601", errors="coerce", utc=True).notna().all()


def _stamps(table, time, options):
    """Returns the `Stamps` of a table."""
    if time == NO_TIME:
        numbers = np.arange(len(table.frame))
        return Stamps(numbers, numbers, rows=True)
    return read_stamps(
        table.frame[time], table.place, options.time_zone, options.time_format
    )


def _values(table, time, wanted, notes):
    """Returns values `(T, C)` and the names of their columns."""
    values, names, left = [], [], []
    for name in wanted or [n for n in table.frame if n != time]:
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
        left = [n for n in table.frame if n not in (*wanted, time)]
    if left:
        notes.append(f"{NOT_TAKEN}: {', '.join(left)}")
    if table.decimal == ",":
        notes.append("decimal commas are read as such")
    if not names:
        raise UserError(f"{table.path} has no column of numbers beside {time}")
    return np.stack(values, axis=-1), names


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


# === Several series below each other ===


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
    columns = [c for c in wanted if c in table.frame]
    given, columns = _values(
        _without(table, name), time, columns or _numeric(table, (name, time)), []
    )
    stamps = _stamps(table, time, options)
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
        notes.append(f"{len(times) - end + start} rows left out that not all series have")
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
