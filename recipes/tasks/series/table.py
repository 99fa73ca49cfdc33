"""The cells of CSV and Parquet files, with errors that name file, line and column."""

import pathlib
import re
from typing import Any

import numpy as np

from attention_zoo.recipes.core.errors import UserError, unknown

GAPS = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none")
DELIMITERS = ",;\t|"
LARGEST = float(np.finfo("float32").max)  # of what a model computes with


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
        self.decimal = "."
        self.path: Any
        if not isinstance(path, (str, pathlib.Path)):
            self.path, self.frame = "the DataFrame", path
            self._take_frame()
            return
        self.path = pathlib.Path(path)
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
        self._take_frame()

    def _take_frame(self):
        """Brings a frame of typed columns into the form that the others have."""
        import pandas as pd

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
                wrong = np.flatnonzero(np.abs(values) > LARGEST)
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
        wrong = np.flatnonzero(~empty & ~(np.abs(values) <= LARGEST))
        return values, (wrong[0] if len(wrong) else None)

    def refuse_cell(self, row, name):
        """Raises `UserError` for a cell that is no number."""
        import pandas as pd

        cell = self.frame[name].iloc[row]
        large = np.isfinite(pd.to_numeric(cell, errors="coerce"))
        raise UserError(
            f"{self.place(row)}: column {name} holds '{cell}', which is "
            f"{'too large for a model' if large else 'no number'}"
        )
