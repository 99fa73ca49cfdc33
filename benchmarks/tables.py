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

from attention_zoo.layers import get_family, list_attentions
from attention_zoo.layers.registry import FAMILIES, attention_class
from attention_zoo.recipes.cards.figures import figure
from attention_zoo.recipes.tasks.translation import card as _card_translation
from benchmarks import _pages
from benchmarks._method import RESULTS

README = pathlib.Path("README.md")
LAYERS = pathlib.Path("docs/layers.md")
CHOOSING = pathlib.Path("docs/choosing.md")
BENCHMARKS = pathlib.Path("docs/benchmarks.md")
LOOPS = ("loop", "compiled_loop")  # of the decoding benchmark


def results(cards):
    """Returns the Markdown table of test accuracies.

    Args:
        cards: List of parsed `card.json`s; those of classifiers are taken.
    """
    cards = [card for card in cards if "accuracy_mean" in card]
    if not cards:
        return "No model has been trained yet."
    lines = [
        "| recipe | data | test accuracy | no attention | plain baseline | seeds "
        "| parameters | file |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for card in sorted(cards, key=lambda card: card["recipe"]):
        baselines = dict(card["baselines"])
        twin = baselines.pop("no_attention", None)
        plain = max(baselines.values(), key=_accuracy, default=None)
        name = card["recipe"]
        cells = [
            f"[{name}](saved_models/{name}/README.md)",
            f"`{card['dataset']}`",
            _score(card),
            _score(twin),
            _score(plain),
            str(len(card.get("seeds", [])) or 1),
            f"{card['parameters']:,}",
            f"{card['model_file_mb']} MB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def forecasts(cards):
    """Returns Markdown tables of test errors, one for each data set and look-back.

    Args:
        cards: List of parsed `card.json`s; those of forecasters are taken.
    """
    cards = sorted(
        (card for card in cards if "horizons" in card), key=lambda card: card["recipe"]
    )
    groups: dict = {}
    for card in cards:
        group = card["dataset"], card["lookback"], tuple(card["horizons"])
        groups.setdefault(group, []).append(card)
    if not groups:
        return "No forecaster has been trained yet."
    parts = []
    for (dataset, lookback, horizons), members in sorted(groups.items()):
        parts.append(f"`{dataset}`, look-back {lookback}, test MSE at each horizon:\n")
        parts.append(
            f"| recipe | | {' | '.join(map(str, horizons))} | parameters | file |"
        )
        parts.append(f"| --- | --- |{' --- |' * len(horizons)} --- | --- |")
        tiny = any(card[f"mse_{horizons[0]}_mean"] < 0.05 for card in members)
        for card in members:
            name = card["recipe"]
            rows = {"model": card, **card["baselines"]}
            for i, (which, row) in enumerate(rows.items()):
                link = f"[{name}](saved_models/{name}/README.md)" if not i else ""
                cells = [link, which.replace("_", " ")]
                cells += [figure(row, f"mse_{h}", 3 + tiny) for h in horizons]
                size = [f"{card['parameters']:,}", f"{card['model_file_mb']} MB"]
                cells += ["", ""] if i else size
                parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts).rstrip()


def translations(cards):
    """Returns the Markdown table of the translators' scores.

    Args:
        cards: List of parsed `card.json`s; those of translators are taken.
    """
    cards = [card for card in cards if "languages" in card]
    if not cards:
        return "No translator has been trained yet."
    lines = [
        "| recipe | data | score | test | no attention | nearest neighbour | seeds "
        "| parameters | file |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for card in sorted(cards, key=lambda card: card["recipe"]):
        name, keys = card["recipe"], [card["metric"]]
        keys += ["chrf"] if keys == ["bleu"] else []
        rows = [
            card,
            *map(card["baselines"].get, ("no_attention", "nearest_neighbour")),
        ]
        cells = [
            f"[{name}](saved_models/{name}/README.md)",
            f"`{card['dataset']}`, {' to '.join(card['languages'])}",
            ", ".join(_card_translation.name_of(key) for key in keys),
        ]
        for row in rows:
            figures = [_card_translation.figure(row, key) for key in keys if row]
            cells.append(", ".join(figures))
        cells += [str(len(card["seeds"])), f"{card['parameters']:,}"]
        cells.append(f"{card['model_file_mb']} MB")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


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
        cards: List of parsed `card.json`s.
    """
    lines = [
        "| recipe | attention | measure | with | without |",
        "| --- | --- | --- | --- | --- |",
    ]
    for card in sorted(cards, key=lambda card: card["recipe"]):
        twin = card["baselines"].get("no_attention")
        if twin is None:
            continue
        key, measure = "accuracy", "test accuracy"
        if "languages" in card:
            key = card["metric"]
            measure = f"test {_card_translation.name_of(key)}"
        elif "horizons" in card:
            key = f"mse_{max(card['horizons'])}"
            measure = f"test MSE, horizon {max(card['horizons'])}; lower is better"
        attention = card["settings"].get("attention") or card["model"]
        cells = [card["recipe"], f"`{attention}`", measure]
        digits = 1 if key == "bleu" else 4
        cells += [figure(row, key, digits) for row in (card, twin)]
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


def _accuracy(row):
    return row.get("accuracy_mean", row.get("accuracy"))


def _score(row):
    """Returns the accuracy of a card or of one of its baselines."""
    return "" if row is None else figure(row, "accuracy", 4)


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
    """Returns the parsed cards of the entries in a folder, smoke runs left out."""
    files = sorted(pathlib.Path(folder).glob("[!.]*/card.json"))
    cards = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return [card for card in cards if not card.get("smoke")]


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks tables")
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    check = parser.parse_args(arguments).check
    cards = read_cards("saved_models")
    tables = {
        README: {
            "results": results(cards),
            "forecasts": forecasts(cards),
            "translations": translations(cards),
            "memory": memory(RESULTS / "memory.csv"),
            "families": families(),
        },
        LAYERS: {"layers": attentions()},
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
