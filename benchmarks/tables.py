"""The tables of README.md and docs: from the cards, the factory and measurements.

    python -m benchmarks tables [--check]

Each table stands between a pair of marks, `<!-- results:start -->` and
`<!-- results:end -->`; only what is between them is written.
"""

import argparse
import json
import pathlib
import re
import sys

from attention_zoo.interpret.choice import MEASURES
from attention_zoo.layers import get_family, list_attentions
from attention_zoo.layers.registry import FAMILIES, attention_class
from attention_zoo.recipes.cards.schema import check_card
from attention_zoo.recipes.tasks import TASKS
from benchmarks import _pages
from benchmarks._method import RESULTS

README = pathlib.Path("README.md")
LAYERS = pathlib.Path("docs/layers.md")
EXPLAINING = pathlib.Path("docs/explaining.md")
CHOOSING = pathlib.Path("docs/choosing.md")
BENCHMARKS = pathlib.Path("docs/benchmarks.md")
LOOPS = ("loop", "compiled_loop")  # of the decoding benchmark


def results(cards, name="results"):
    """Returns the Markdown tables of the trained models that belong into one place.

    Args:
        cards: List of checked cards.
        name: The place, which is the `table` of tasks.
    """
    tables: dict = {}
    for card in sorted(cards, key=lambda card: card["recipe"]):
        task = TASKS[card["kind"]]
        if task.table == name and card.get("metrics", True):
            tables.setdefault(task.table_of(card), []).extend(task.table_rows(card))
    parts = []
    for table, rows in sorted(tables.items(), key=lambda item: item[0].order):
        parts += [table.caption, ""] if table.caption else []
        parts.append(f"| {' | '.join(table.columns)} |".replace("|  |", "| |"))
        parts.append(f"| --- |{' --- |' * (len(table.columns) - 1)}")
        parts += [*(f"| {' | '.join(cells)} |" for cells in rows), ""]
    return "\n".join(parts).rstrip() or "No such model has been trained yet."


def families():
    """Returns the Markdown table of the families and the names in each."""
    lines = ["| family | attentions |", "| --- | --- |"]
    for family in FAMILIES:
        names = ", ".join(f"`{name}`" for name in list_attentions(family=family))
        lines.append(f"| {family} | {names} |")
    return "\n".join(lines)


def attentions():
    """Returns the Markdown table of the layers that `create_attention` makes."""
    lines = ["| name | class | family | what it is |", "| --- | --- | --- | --- |"]
    for name in list_attentions():
        cls = attention_class(name)
        summary = cls.__doc__.strip().splitlines()[0].rstrip(".")
        paper = re.search(r"https://[^\s)>,]+", cls.__doc__)
        link = f" ([paper]({paper[0].rstrip('.')}))" if paper else ""
        row = f"`{name}` | `{cls.__name__}` | {get_family(name)} | {summary}{link}"
        lines.append(f"| {row} |")
    return "\n".join(lines)


def memory(file):
    """Returns the Markdown table of the memory benchmark's results, from its CSV."""
    rows = _pages.read_rows(file)
    if not rows:
        return _pages.UNMEASURED
    lines = [
        "| training step | Keras | ours, in blocks | memory | time |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if row["question"] == "growth" or row["which"] != "keras":
            continue
        key = ("question", "kind", "length")
        ours = next(
            r
            for r in rows
            if r["which"] == "blocks" and all(r[k] == row[k] for k in key)
        )
        times = float(row["seconds"]), float(ours["seconds"])
        cells = [f"{row['kind']}, T {row['length']}"]
        if row["megabytes"]:
            sizes = float(row["megabytes"]), float(ours["megabytes"])
            cells += [
                f"{size:,.0f} MB, {t:.2f} s"
                for size, t in zip(sizes, times, strict=True)
            ]
            cells.append(f"1/{sizes[0] / sizes[1]:.0f}")
        else:
            cells += [f"{1000 * t:.2f} ms" for t in times] + [""]
        cells.append(f"{times[1] / times[0]:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def vision(file):
    """Returns the Markdown table of the CBAM benchmark's results, from its CSV."""
    rows = _pages.read_rows(file)
    if not rows:
        return _pages.UNMEASURED
    lines = [
        "| training step | plain Keras layers | ours | time | quartiles | pairs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        keras, ours = float(row["keras_ms"]), float(row["ours_ms"])
        cells = [
            "{block}, {batch} x {height} x {width} x {channels}".format(**row),
            f"{keras:.2f} ms",
            f"{ours:.2f} ms",
            f"{ours / keras:.2f}",
            " to ".join(
                f"{float(row[f'pair_ratio_quartile_{q}']):.2f}" for q in (1, 3)
            ),
            row["pairs"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def decoding(file):
    """Returns the Markdown table of the decoding benchmark's results, from its CSV."""
    rows = _pages.read_rows(file)
    if not rows:
        return _pages.UNMEASURED
    lines = [
        "| sentences per second | beam search, one graph | loop | compiled loop "
        "| to the loop | to the compiled loop |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        beam = float(row["beam_per_second"])
        loops = [float(row[f"{which}_per_second"]) for which in LOOPS]
        cells = [row["core"], f"{beam:.0f}"]
        cells += [f"{rate:.3g}" for rate in loops]
        cells += [f"{beam / rate:.1f}" for rate in loops]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def twins(cards):
    """Returns the Markdown table of the models with and without their attention.

    Args:
        cards: List of checked cards.
    """
    lines = [
        "| recipe | attention | measure | with | without |",
        "| --- | --- | --- | --- | --- |",
    ]
    for card in sorted(cards, key=lambda card: card["recipe"]):
        twin, task = card["baselines"].get("no_attention"), TASKS[card["kind"]]
        if twin is None:
            continue
        measure = f"test {task.measure_name(task.twin_measure(card))}"
        measure += "; lower is better" * task.lower_is_better
        attention = card["settings"].get("attention") or card["model"]
        cells = [card["recipe"], f"`{attention}`", measure]
        cells += [task.twin_figure(row, card) for row in (card, twin)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def costs():
    """Returns the Markdown table of the costs that the vision layers' docstrings state,
    which tests count again."""
    pattern = r"Cost at 64 [^:]*: ([\d,]+) parameters, ([\d,]+) FLOPs"
    rows = []
    for name in list_attentions():
        text = " ".join(attention_class(name).__doc__.split())
        if found := re.search(pattern, text):
            rows.append((name, *found.groups()))
    rows.sort(key=lambda row: [int(n.replace(",", "")) for n in (row[2], row[1])])
    lines = ["| layer | family | parameters | FLOPs |", "| --- | --- | --- | --- |"]
    for name, parameters, flops in rows:
        lines.append(f"| `{name}` | {get_family(name)} | {parameters} | {flops} |")
    return "\n".join(lines)


def methods(cards):
    """Returns the Markdown table of how faithful each entry's best method is, and
    attention beside it."""
    names = " | ".join(name.replace("_", " ") for name in MEASURES)
    lines = [f"| entry | method | {names} |", "| --- | --- | --- | --- | --- |"]
    for card in sorted(cards, key=lambda card: card["recipe"]):
        entry = f"[{card['recipe']}](../saved_models/{card['recipe']}/README.md)"
        found = card.get("explanations", {"methods": {}})
        for method in dict.fromkeys((found.get("best"), "attention")):
            if row := found["methods"].get(method):
                figures = " | ".join(f"{row[key]:.3f}" for key in MEASURES)
                lines.append(f"| {entry} | `{method}` | {figures} |")
    return "\n".join(lines)


def fill(text, tables):
    """Returns a text with every table put between its marks.

    Args:
        text: String that holds the marks of each table.
        tables: Dict of a table's name to its Markdown.
    """
    for name, table in tables.items():
        start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
        if text.count(start) != 1 or text.count(end) != 1:
            raise SystemExit(f"a document lacks the marks {start} ... {end}")
        head, rest = text.split(start)
        tail = rest.split(end)[1]
        text = f"{head}{start}\n{table}\n{end}{tail}"
    return text


def read_cards(folder):
    """Returns the checked cards of the entries in a folder, smoke runs left out."""
    files = sorted(pathlib.Path(folder).glob("[!.]*/card.json"))
    cards = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    pairs = zip(cards, files, strict=True)
    return [check_card(card, file) for card, file in pairs if not card.get("smoke")]


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks tables")
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    check = parser.parse_args(arguments).check
    cards = read_cards("saved_models")
    tables = {
        README: {
            **{t.table: results(cards, t.table) for t in TASKS.values()},
            "memory": memory(RESULTS / "memory.csv"),
            "families": families(),
        },
        LAYERS: {"layers": attentions()},
        EXPLAINING: {"methods": methods(cards)},
        CHOOSING: {
            "memory": memory(RESULTS / "memory.csv"),
            "vision": vision(RESULTS / "vision.csv"),
            "twins": twins(cards),
            "costs": costs(),
        },
        BENCHMARKS: {
            "decoding": decoding(RESULTS / "decoding.csv"),
            "promises": _pages.promises(),
            **{name: _pages.race(name) for name in _pages.RACES},
        },
    }
    stale = 0
    for file, own in tables.items():
        old = file.read_text(encoding="utf-8")
        new = fill(old, own)
        stale |= old != new
        if check:
            print(f"{file}: {'up to date' if old == new else 'stale'}", file=sys.stderr)
        else:
            file.write_text(new, encoding="utf-8")
    return int(check and stale)
