"""Own series as a data set."""

from typing import Any

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import own, tables
from attention_zoo.recipes.tasks.series import panel, reader
from attention_zoo.recipes.tasks.series.steps import find_step
from attention_zoo.recipes.tasks.series.table import Table

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
READING = ("time", "id", "time_zone", "time_format")
LISTS = ("target", "past", "known")  # names of columns between commas
FLAGS = ("interpolate", "sort", "as_variates")
OPTIONS = (
    ("--time", "COLUMN", "series: the column of time stamps; none counts the rows"),
    ("--id", "COLUMN", "series: the column that tells several series apart"),
    ("--past", "COLUMN,...", "series: columns known up to now that are no targets"),
    ("--known", "COLUMN,...", "series: columns known over the horizon too"),
    ("--time-zone", "NAME", "series: of stamps without an offset"),
    ("--time-format", "FORM", "series: of stamps, e.g. '%%d.%%m.%%Y %%H:%%M'"),
)  # fmt: skip


def add_arguments(parser):
    """Adds the options of series to a parser."""
    add = parser.add_argument
    for name, metavar, text in OPTIONS:
        add(name, metavar=metavar, help=text)
    for name, text in (
        ("--interpolate", "series: fill gaps and absent rows between neighbours"),
        ("--sort", "series: bring rows into the order of their time stamps"),
        ("--as-variates", "series: those of the long form are variates side by side"),
    ):
        add(name, action="store_true", default=None, help=text)
    add("--lookback", type=int, metavar="N", help="series: steps that a model sees")
    add(
        "--horizon",
        type=int,
        nargs="+",
        metavar="N",
        help="series: steps that it forecasts, one number or several",
    )


def options(args):
    """Returns the dict of the options that decide what is read."""
    names = (*READING, *LISTS, *FLAGS, "lookback", "horizon")
    return {name: getattr(args, name, None) for name in names}


def reading(given):
    """Returns the `reader.Options` of a dict of options."""
    values: dict[str, Any] = {name: given.get(name) for name in READING}
    values |= {name: names_in(given.get(name)) for name in LISTS}
    values |= {name: bool(given.get(name)) for name in FLAGS}
    return reader.Options(**values)


def names_in(value):
    """Returns the names of a text with commas between them, or of a list."""
    words = value.split(",") if isinstance(value, str) else value or ()
    return tuple(word.strip() for word in words if word.strip())


# === Reading ===


def read(request):
    """Returns the `Records` of a series: its rows, each with its part."""
    if request.tfds_name:
        raise UserError(
            "series are read from files: train a recipe with --set dataset=NAME for a "
            "TFDS data set"
        )
    given = request.options
    lookback, horizons = given.get("lookback"), given.get("horizon")
    horizons = [horizons] if isinstance(horizons, int) else horizons
    check_windows(lookback, horizons)
    known = {
        "lookback": lookback,
        "horizons": sorted({*horizons}) if horizons else None,
    }
    least = (lookback or 1) + max(horizons or [1])
    tables_of = []
    for part, data in request.given():
        files = tables.find_files(data) if own.is_words(data) else [data]
        if len(files) != 1:
            raise UserError(
                f"a series is one file, received {len(files)}: the long form has "
                "several series in one file"
            )
        tables_of.append((part, Table(files[0])))
    chosen = reading(given)
    id_column = reader.id_column(tables_of[0][1], chosen)
    if id_column and not chosen.as_variates:
        return _panel(tables_of, id_column, least, chosen, known)
    return _one(tables_of, least, chosen, known)


def _one(tables_of, least, chosen, known):
    """Returns the `Records` of one series, whose files follow each other."""
    pieces: list = []
    for part, table in tables_of:
        variates = pieces[0][1].variates if pieces else None
        rows = least if not pieces else 2
        found = reader.read_series(table, variates, rows, None, chosen, False)
        pieces.append((part, found.past_only()))
    first = pieces[0][1]
    values = np.concatenate([series.values for _, series in pieces])
    stamps = first.stamps.joined([series.stamps for _, series in pieces[1:]])
    if len(pieces) > 1:
        find_step(stamps, lambda i: f"the files together, row {i + 1}", first.step)
    dates = stamps.regular_texts(first.step)
    parts = _parts([(part, len(series.values)) for part, series in pieces])
    rows = int(np.sum(np.array(parts) == "train"))
    return own.Records(
        example=lambda i: {"date": dates[i], "values": values[i]},
        features=lambda: _features(values.shape[1]),
        parts=parts,
        place=lambda i: f"row {i + 1}",
        columns=(first.time, *first.variates, *chosen.past, *chosen.known),
        facts=lambda _: _facts(first, chosen, rows, values, 0) | known,
        notes=_notes([series for _, series in pieces], chosen),
        split_by="one after the other in time",
    )


def _panel(tables_of, column, least, chosen, known):
    """Returns the `Records` of several series, each with a span of its own."""
    if len(tables_of) > 1:
        raise UserError(
            "several series in one file are split by the end of each: leave out "
            "--validation and --test"
        )
    found, short, notes = panel.read_panel(
        tables_of[0][1], None, least, None, chosen, fill=False
    )
    found = {name: series.past_only() for name, series in found.items()}
    names = [name for name, series in found.items() for _ in series.values]
    values = np.concatenate([series.values for series in found.values()])
    dates, parts = [], []
    for series in found.values():
        dates += series.stamps.regular_texts(series.step)
        parts += _parts([("", len(series.values))])
    first = next(iter(found.values()))
    rows = np.median([SHARES["train"] * len(s.values) for s in found.values()])
    return own.Records(
        example=lambda i: {"date": dates[i], "values": values[i], "series": names[i]},
        features=lambda: _features(values.shape[1], named=True),
        parts=parts,
        place=lambda i: f"series {names[i]}, {dates[i]}",
        columns=(column, first.time, *first.variates, *chosen.past, *chosen.known),
        facts=lambda _: _facts(first, chosen, int(rows), values, len(found)) | known,
        notes=[
            f"{len(found):,} series, told apart by {column}, each cut into its own "
            "windows",
            *_notes([*found.values()], chosen, each=False),
            *notes,
        ],
        dropped=panel.left_out(short, max(least, 2)),
        split_by="each series one part after the other in time",
    )


def _facts(first, chosen, rows, values, count):
    """Returns what the defaults follow.

    Args:
        first: The first `Series`.
        chosen: The `reader.Options`.
        rows: Integer, training rows of a series.
        values: Array of all values.
        count: Integer, how many series there are; 0 for a table of one.
    """
    return {
        "variates": list(first.variates),
        "past": list(chosen.past),
        "known": list(chosen.known),
        "series": count,
        "rows": rows,
        "step": str(first.step),
        "interpolate": bool(np.isnan(values).any()),
    }


def _features(count, named=False):
    import tensorflow_datasets as tfds

    text = tfds.features.Text()
    values = tfds.features.Tensor(shape=(count,), dtype=np.float32)
    names = {"series": text} if named else {}
    return tfds.features.FeaturesDict({"date": text, "values": values, **names})


def _notes(pieces, chosen, each=True):
    """Returns lines on what was found, filled and not taken.

    Args:
        pieces: List of `Series`.
        chosen: The `reader.Options`.
        each: Whether what is said of each piece is repeated, or summed up.
    """
    first = pieces[0]
    shown = ", ".join(first.variates[:8])
    more = len(first.variates) - 8
    count = len(first.variates)
    notes = [
        f"a row every {first.step.words} by the column {first.time}; {count} "
        f"variate{'s' * (count != 1)}: {shown}{f' and {more} more' * (more > 0)}"
    ]
    for words, names in (("up to now", chosen.past), ("ahead", chosen.known)):
        if names:
            notes.append(f"known {words}, not forecast: {', '.join(names)}")
    filled = sum(series.filled for series in pieces)
    if filled:
        notes.append(f"{filled:,} empty cells will be filled between their neighbours")
    absent = sum(series.absent for series in pieces)
    if not each:
        ahead = sum(series.left for series in pieces)
        notes += [f"{absent:,} absent rows filled in"] * (absent > 0)
        return notes + [reader.LEFT.format(ahead)] * (ahead > 0)
    return notes + [note for series in pieces for note in series.notes]


def _parts(pieces):
    """Returns the part of each row: as given, the rest one after the other."""
    named = {part: count for part, count in pieces if part}
    missing = [part for part in SHARES if part not in named]
    total = next(count for part, count in pieces if not part)
    whole = sum(SHARES[part] for part in missing)
    parts: list = []
    for part in missing[1:]:
        parts += [part] * round(total * SHARES[part] / whole)
    open_rows = ["train"] * (total - len(parts)) + parts
    return open_rows + [part for part, count in pieces if part for _ in range(count)]


def check_windows(lookback, horizons):
    """Raises `UserError` for a look-back or horizons that are none."""
    if lookback is not None and lookback < 1:
        raise UserError(f"--lookback must be positive, received {lookback}")
    if horizons is not None and min(horizons) < 1:
        raise UserError(f"--horizon must be positive, received {min(horizons)}")
