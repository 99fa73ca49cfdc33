"""Tables on disk: CSV, TSV, JSON lines and Parquet, read by pandas.

Cells of CSV and TSV files are read as the texts that they are.
"""

import codecs
import csv
import difflib
import glob
import io
import json
import pathlib

from attention_zoo.recipes.core.errors import UserError, one_line

DELIMITERS = (",", ";", "\t")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
HEAD = 1 << 16  # bytes that the delimiter is guessed from


def find_files(words):
    """Returns the paths that words of the command line name, files or folders.

    Args:
        words: Sequence of strings or paths; a pattern such as `"part-*.csv"` stands for
            all files that fit it.

    Raises:
        UserError: For a name that is no file, with the near names.
    """
    found = []
    for word in map(str, words):
        path = pathlib.Path(word)
        matches = [path] if path.exists() else map(pathlib.Path, glob.glob(word))
        matches = sorted(matches)
        if not matches:
            raise UserError(_missing(path))
        found += matches
    return found


def _missing(path):
    """Returns what is said of a path where nothing is, with the near names."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {path}: there is no folder {folder}"
    names = sorted(entry.name for entry in folder.iterdir())
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    hint = f". Did you mean {' or '.join(near)}?" if near else f" in {folder.resolve()}"
    return f"there is no file {path}{hint}"


def read_table(file, delimiter=None, encoding=None):
    """Returns a table as a `pandas.DataFrame`: see `read_chunks`."""
    import pandas

    return pandas.concat(
        read_chunks(file, None, delimiter, encoding), ignore_index=True
    )


def read_chunks(file, rows, delimiter=None, encoding=None):
    """Yields a table in parts of so many rows, each a `pandas.DataFrame`.

    Args:
        file: Path. Its suffix says what it holds.
        rows: Number of rows of a part; None for all at once.
        delimiter: The sign between columns of a CSV file. Defaults to the one of comma,
            semicolon and tab that fits.
        encoding: Name of the encoding of a CSV file. Defaults to UTF-8.

    Raises:
        UserError: One line that names the file, and the line where there is one.
    """
    file, suffix = pathlib.Path(file), pathlib.Path(file).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(
            f"{file} is of no known kind: a table ends in {', '.join(SUFFIXES)}"
        )
    if not file.is_file():
        raise UserError(f"{file} is not a file")
    if not file.stat().st_size:
        raise UserError(f"{file} is empty")
    if suffix in (".parquet", ".pq"):
        parts = _read_parquet(file, rows)
    elif suffix in (".jsonl", ".ndjson", ".json"):
        parts = _read_json_lines(file, rows)
    else:
        parts = _read_csv(file, rows, delimiter, encoding)
    count = 0
    for part in parts:
        count += len(part)
        yield part
    if not count:
        raise UserError(f"{file} has no rows")


def need_column(frame, name, file, option):
    """Returns the name of a column, or raises `UserError` with the near names.

    Args:
        frame: The table.
        name: The name as it was given, or None.
        file: Where the table comes from, for the message.
        option: The option that names the column, e.g. `"--text"`.
    """
    columns = [str(column) for column in frame.columns]
    if name in columns:
        return name
    if name is None:
        raise UserError(f"{option} COLUMN is missing: {file} has {', '.join(columns)}")
    near = difflib.get_close_matches(name, columns, n=3, cutoff=0.5)
    hint = (
        f"Did you mean {' or '.join(near)}?" if near else f"It has {', '.join(columns)}"
    )
    if len(columns) == 1:
        hint += ", one column: is it separated by another sign? (--delimiter)"
    raise UserError(f"{file} has no column '{name}' ({option}). {hint}")


# === CSV ===


def _read_csv(file, rows, delimiter, encoding):
    import pandas

    delimiter, encoding = _csv_form(file, delimiter, encoding)
    options = {"sep": delimiter, "dtype": str, "encoding": encoding}
    try:
        read = pandas.read_csv(
            file, chunksize=rows, iterator=True, keep_default_na=False, **options
        )
        with read:
            yield from (_checked_rows(file, part) for part in read)
    except (pandas.errors.ParserError, UnicodeError) as error:
        reason = one_line(error).removeprefix("Error tokenizing data. C error: ")
        raise UserError(
            f"{file}: {reason} (a cell with '{delimiter}', quotes or line breaks "
            'stands in "quotes")'
        ) from None


def _checked_rows(file, part):
    """Returns a part of a CSV file; pandas makes an index of cells without a name."""
    import pandas

    if not isinstance(part.index, pandas.RangeIndex):
        raise UserError(
            f"{file}: its rows have more cells than its header has names "
            f"({', '.join(part.columns)})"
        )
    return part


def _csv_form(file, delimiter, encoding):
    """Returns delimiter and encoding of a CSV file, after checks of both."""
    encoding = _check_encoding(file, encoding)
    with open(file, encoding=encoding, newline="") as stream:
        head = stream.read(HEAD)
    if not head.strip():
        raise UserError(f"{file} is empty")
    if delimiter is not None:
        delimiter = _check_delimiter(delimiter)
    else:
        delimiter = guess_delimiter(head)
        usual = "\t" if file.suffix.lower() == ".tsv" else ","
        if delimiter != usual:
            print(f"{file.name}: columns are separated by {NAMES[delimiter]}")
    _check_header(file, next(csv.reader(head.splitlines(True), delimiter=delimiter)))
    return delimiter, encoding


def guess_delimiter(head):
    """Returns the delimiter by which the first rows of a CSV text have like columns."""

    def fit(delimiter):
        rows = csv.reader(head.splitlines(True)[:50], delimiter=delimiter)
        widths = [len(row) for row in rows if row]
        return sum(w == widths[0] for w in widths) * (widths[0] > 1), widths[0]

    return max(DELIMITERS, key=fit)


def _check_encoding(file, encoding):
    """Returns the encoding of a file, after a check that all of it can be read."""
    encoding = encoding or "utf-8-sig"
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses those of no text, as hex
        decoder = codecs.getincrementaldecoder(encoding)()
    except (LookupError, ValueError):
        raise UserError(f"--encoding: there is no encoding {encoding!r}") from None
    line = 0
    with open(file, "rb") as stream:
        try:
            for line, raw in enumerate(stream, 1):  # noqa: B007
                decoder.decode(raw)
            decoder.decode(b"", final=True)
        except UnicodeError:
            raise UserError(
                f"{file}, line {line}: not {encoding.removesuffix('-sig').upper()}."
                " Save it as UTF-8, or give --encoding, e.g. latin-1 or utf-16"
            ) from None
    return encoding


def _check_delimiter(delimiter):
    """Returns the sign that `--delimiter` means, or raises `UserError`."""
    sign = {r"\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
    if len(sign) != 1 or not sign.isascii() or sign in '\r\n"\0':
        raise UserError(
            f"--delimiter takes one sign such as ';' or \\t, received {delimiter!r}"
        )
    return sign


def _check_header(file, names):
    """Raises `UserError` for a header in which a name occurs twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"{file}, line 1: the column {twice[0] or 'without a name'!r} is there "
            f"{names.count(twice[0])} times"
        )


# === JSON lines and Parquet ===


def _read_json_lines(file, count):
    import pandas

    rows, line = [], 0
    try:
        with open(file, encoding="utf-8-sig") as stream:
            for line, text in enumerate(stream, 1):  # noqa: B007
                if text.strip():
                    rows.append(json.loads(text))
                    if not isinstance(rows[-1], dict):
                        raise ValueError("no object")
                    if r"\ud" in text.lower():
                        check_characters(rows[-1])
                if len(rows) == count:
                    yield pandas.DataFrame(rows)
                    rows = []
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{file}, line {line}: no JSON object on one line ({one_line(error, 80)})"
        ) from None
    yield pandas.DataFrame(rows)


def check_characters(value):
    """Raises `ValueError` for half of a surrogate pair in a value out of JSON."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])[1:-1]
        raise ValueError(f"{half} is half of a character") from None


def _read_parquet(file, count):
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            size = count or max(1, table.metadata.num_rows)
            for batch in table.iter_batches(batch_size=size):
                yield batch.to_pandas()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file} is no Parquet file: {one_line(error, 120)}") from None
