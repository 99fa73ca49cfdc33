"""docs/choosing.md names every attention, and its figures are those measured."""

import pathlib
import re
import runpy

import pytest

from attention_zoo import layers
from attention_zoo.layers.core.normalizers import NORMALIZERS
from attention_zoo.layers.core.scores import SCORES
from attention_zoo.layers.registry import FAMILIES, attention_class

ROOT = pathlib.Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
TABLES = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))
RESULTS = ROOT / "benchmarks" / "results"
COLUMNS = ["layer", "formula", "time", "memory", "take it when", "not when", "paper"]


def sections(text):
    """Returns a dict of the headings of second rank to what stands below them."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def table(text):
    """Returns the rows of the tables in a text, each a list of cells, with the head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [row for row in rows if set("".join(row)) != {"-"}]


SECTIONS = sections(GUIDE)
FAMILY_ROWS = {
    heading.split(":")[0]: table(text)[1:]
    for heading, text in SECTIONS.items()
    if table(text) and table(text)[0] == COLUMNS
}
ROWS = {row[0].strip("`"): row for rows in FAMILY_ROWS.values() for row in rows}


def test_every_family_has_a_table_of_its_layers():
    assert set(FAMILY_ROWS) == set(FAMILIES)
    for family, rows in FAMILY_ROWS.items():
        names = [row[0].strip("`") for row in rows]
        assert names == layers.list_attentions(family=family), family


@pytest.mark.parametrize("name", layers.list_attentions())
def test_a_row_is_complete_and_its_papers_are_those_of_the_layer(name):
    row = ROWS[name]
    assert len(row) == len(COLUMNS), row
    assert all(row), row
    links = re.findall(r"\]\((https://[^)]+)\)", row[-1])
    assert links
    for link in links:
        assert link in attention_class(name).__doc__, link


def test_the_table_of_tasks_names_what_there_is():
    tasks = SECTIONS["By task"]
    known = {*layers.list_attentions(), *dir(layers)}
    for token in re.findall(r"`(\w+)`", tasks):
        assert token in known, token
    options = {"normalizer": {*NORMALIZERS}, "score": {*SCORES, None}}
    for option, value in re.findall(r'`(\w+)=("\w+"|None)`', tasks):
        if option in options:
            assert (value.strip('"') if value != "None" else None) in options[option]


def test_names_in_the_rows_are_those_of_layers_and_docstrings():
    names = layers.list_attentions()
    documented = " ".join(attention_class(name).__doc__ for name in names)
    for name, row in ROWS.items():
        for token in re.findall(r"`(\w+_\w+)`", " ".join(row)):
            known = token in names or re.search(rf"\b{token}\b", documented)
            assert known, f"{name}: {token}"


def test_figures_equal_the_measurements():
    expected = {
        "memory": TABLES["memory"](RESULTS / "memory.csv"),
        "vision": TABLES["vision"](RESULTS / "vision.csv"),
        "twins": TABLES["twins"](TABLES["read_cards"](ROOT / "saved_models")),
        "costs": TABLES["costs"](),
    }
    for name, text in expected.items():
        between = GUIDE.split(f"<!-- {name}:start -->\n")[1]
        assert between.split(f"\n<!-- {name}:end -->")[0] == text, name


def test_figures_are_nowhere_else():
    prose = re.sub(r"<!-- (\w+):start.*?\1:end", "", GUIDE, flags=re.DOTALL)
    assert not re.findall(r"\d\.\d+ ?(?:ms|s|MB|%)", prose)


def test_links_inside_lead_somewhere():
    headings = re.findall(r"^#+ (.*)", GUIDE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
    for link in re.findall(r"\]\((?!http)([^)]+)\)", GUIDE):
        if link.startswith("#"):
            assert link[1:] in anchors, link
        else:
            assert (ROOT / "docs" / link).exists(), link


def test_twins_of_classifiers_and_forecasters():
    twin = {"accuracy_mean": 0.5, "accuracy_std": 0.25}
    words = {
        "recipe": "some_words",
        "kind": "text",
        "model": "attention_lstm",
        "settings": {"attention": "attention_pooling"},
        "accuracy_mean": 0.75,
        "accuracy_std": 0.0125,
        "baselines": {"no_attention": twin, "linear": {"accuracy": 0.625}},
    }
    hours = {
        "recipe": "some_hours",
        "kind": "series",
        "model": "attention_forecaster",
        "settings": {},
        "horizons": [24, 96],
        "mse_96_mean": 0.25,
        "baselines": {"no_attention": {"mse_96": 0.5}},
    }
    alone = {**words, "recipe": "alone", "baselines": {}}
    rows = TABLES["twins"]([words, hours, alone]).splitlines()[2:]
    assert rows == [
        "| some_hours | `attention_forecaster` | test MSE, horizon 96; lower is better "
        "| 0.2500 | 0.5000 |",
        "| some_words | `attention_pooling` | test accuracy | 0.7500 ± 0.0125 "
        "| 0.5000 ± 0.2500 |",
    ]
