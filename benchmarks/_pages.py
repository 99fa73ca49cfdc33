"""What docs/benchmarks.md and README.md show of the races, from their results."""

import csv
import json

from benchmarks._method import COMPARISON, RESULTS

UNMEASURED = "Not measured yet."
# Columns of `compare`, as a reader would name them; `quartile_3` joins `quartile_1`.
NAMES = {"ours_ms": "ours, ms", "other_ms": "other, ms", "quartile_1": "quartiles"}
RACES = ("models", "serving", "inputs", "layers", "modules", "growth", "imports")


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
    rows = [row for row in rows if "not installed" not in row.get("note", "")]
    columns = [column for column in rows[0] if column != "quartile_3"]
    lines = [[NAMES.get(column, column.replace("_", " ")) for column in columns]]
    lines += [["---"] * len(columns)]
    lines += [[cell(row, column) for column in columns] for row in rows]
    return "\n".join(
        [*(f"| {' | '.join(cells)} |" for cells in lines), "", where(name)]
    )


def cell(row, column):
    """Returns what a table shows of a row in a column."""
    value = row[column]
    if column == "quartile_1" and value:
        return " to ".join(ratio(row[f"quartile_{q}"]) for q in (1, 3))
    if column == "ratio" and value:
        return f"**{ratio(value)}**"
    if column in COMPARISON and value:
        return f"{float(value):.3g}" if float(value) < 1000 else f"{float(value):.0f}"
    return value


def ratio(value):
    """Returns a ratio with two digits behind the point, or more where it is small."""
    return f"{float(value):.2f}" if float(value) >= 0.1 else f"{float(value):.1g}"


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


# What was promised: the race, the values that find the row, and the ratio to reach.
PROMISES = {
    "attention-LSTM, training, batch 64, T 200": (
        ("models", "attention_lstm", "training"),
        1.0,
    ),
    "attention-LSTM, SavedModel, batch 1, T 200": (
        ("serving", "attention_lstm", "saved_model --jit", "1", "eager"),
        0.9,
    ),
    "CBAM-ResNet-20, training, batch 128": (
        ("models", "cbam_resnet", "training"),
        0.9,
    ),
    "dot attention, 4 heads of 16, training, T 4096": (
        ("layers", "heads", "training", "1", "4096", "torch"),
        1.0,
    ),
    "input pipeline / training step, attention-LSTM on IMDB": (
        ("inputs", "attention_lstm_imdb"),
        0.1,
    ),
}


def promises():
    """Returns the Markdown table of the promised ratios and what was measured."""
    lines = ["| race | promised | measured | quartiles |", "| --- | --- | --- | --- |"]
    for title, ((name, *wanted), promised) in PROMISES.items():
        rows = read_rows(RESULTS / f"{name}.csv")
        found = [r for r in rows if list(r.values())[: len(wanted)] == wanted]
        shown = ("**not measured**", "")
        if found:
            shown = cell(found[0], "ratio"), cell(found[0], "quartile_1")
        lines.append(f"| {title} | {promised} | {' | '.join(shown)} |")
    return "\n".join(lines)
