"""What docs/benchmarks.md and README.md show of the races, from their results."""

import csv
import json

from benchmarks._method import COMPARISON, RESULTS

UNMEASURED = "Not measured yet."
# Columns of `compare`, as a reader would name them; `quartile_3` joins `quartile_1`.
NAMES = {"ours_ms": "ours, ms", "other_ms": "other, ms", "ratio": "ratio"}
RACES = ("layers", "modules", "models", "models_jax", "serving", "inputs", "growth")


def read_rows(file):
    """Returns the rows of a benchmark's CSV as dicts; none where there is no file."""
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def race(name):
    """Returns the Markdown of a race: its table, and where it was measured."""
    rows = read_rows(RESULTS / f"{name}.csv")
    if not rows:
        return UNMEASURED
    columns = [column for column in rows[0] if column != "quartile_3"]
    shown = [NAMES.get(c, c.replace("_", " ")) for c in columns]
    shown = ["quartiles" if c == "quartile 1" else c for c in shown]
    lines = [f"| {' | '.join(shown)} |", f"|{' --- |' * len(shown)}"]
    for row in rows:
        cells = [cell(row, column) for column in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", where(name)])


def cell(row, column):
    """Returns what a table shows of a row in a column."""
    value = row[column]
    if column == "quartile_1" and value:
        return " to ".join(f"{float(row[f'quartile_{q}']):.2f}" for q in (1, 3))
    if column == "ratio" and value:
        return f"**{float(value):.2f}**"
    if column in COMPARISON and value:
        return f"{float(value):.3g}" if float(value) < 1000 else f"{float(value):.0f}"
    return value


def where(name):
    """Returns one line on the date, the machine and the versions of a race."""
    about = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    roof = about.get("roof_gflops")
    reach = f"; a matrix product reaches {roof:.0f} GFLOP/s" if roof else ""
    return (
        f"Measured on {about['date']}: {about['cpu']}, {about['cores']} cores, "
        f"{about['threads']} threads, Keras on {about['backend']}{reach}; {versions}."
    )
