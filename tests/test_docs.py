"""What the documents say is so: code runs, commands exist, tables are up to date."""

import pathlib
import re
import runpy
import shlex

import pytest

import attention_zoo
from attention_zoo.recipes.cli import main as _cli
from attention_zoo.recipes.core.recipe import list_recipes
from attention_zoo.recipes.tasks import TASKS
from benchmarks import _pages

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TABLES = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))
SHOWN = "attention_lstm_imdb"  # the trained model that README.md shows

needs_shown_model = pytest.mark.skipif(
    not (ROOT / "saved_models" / SHOWN / "model.keras").exists(),
    reason=f"{SHOWN} has not been trained yet",
)


def blocks(text, language):
    """Returns the fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text):
    """Returns the command lines in the shell blocks of a text, each as a list."""
    lines = "".join(blocks(text, "sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line]


def between(name, text=README):
    """Returns what a document holds between the marks of a table."""
    start, end = f"<!-- {name}:start -->\n", f"\n<!-- {name}:end -->"
    return text.split(start)[1].split(end)[0]


@needs_shown_model
def test_the_code_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    names = {}
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["probabilities"].shape == (2, 2)
    assert (tmp_path / "attention.png").exists()
    assert len(names["records"]) == 1


def test_most_code_of_the_readme_runs_without_a_trained_model():
    names = {}
    for block in blocks(README, "python"):
        if SHOWN in block or "explain" in block:
            block = "import attention_zoo, keras"
        exec(compile(block, "README.md", "exec"), names)
    assert names["weights"].shape == (2, 3, 7)
    assert len(names["records"]) == 1


def test_the_code_of_troubleshooting_runs():
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    names: dict = {}
    for block in blocks(text, "python"):
        exec(compile(block, "troubleshooting.md", "exec"), names)
    assert names["output"].shape == (2, 5, 4)


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_make_targets_exist(text):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    quoted = [span.split() for span in re.findall(r"`([^`\n]+)`", text)]
    named = [line for line in [*commands(text), *quoted] if "make" in line]
    assert named
    for line in named:
        assert line[line.index("make") + 1] in targets, line


@pytest.mark.parametrize(
    "command", [c for c in commands(README) if c[0] == "attention-zoo"], ids=shlex.join
)
def test_commands_exist(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        _cli.main([command[1], "--help"])
    assert not stopped.value.code
    helped = capsys.readouterr().out
    for option in (word for word in command if word.startswith("--")):
        assert option in helped


def test_commands_name_what_there_is():
    known = {*list_recipes()}
    for command in commands(README):
        if command[1:2] == ["train"] and "--data" in command:  # named by the file
            assert command[2] in attention_zoo.list_models(), command
            known.add(pathlib.Path(command[command.index("--data") + 1]).stem)
        elif command[0] == "attention-zoo" and len(command) > 2:
            assert command[2] in known, command


def test_the_table_of_results_equals_the_cards():
    cards = TABLES["read_cards"](ROOT / "saved_models")
    if not cards:
        pytest.skip("no model has been trained yet")
    for table in {task.table for task in TASKS.values()}:
        assert between(table) == TABLES["results"](cards, table)


def test_the_tables_of_layers_equal_the_factory():
    layers = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    assert between("layers", layers) == TABLES["attentions"]()
    assert between("families") == TABLES["families"]()


def test_the_table_of_memory_equals_the_measurements():
    file = ROOT / "benchmarks" / "results" / "memory.csv"
    assert between("memory") == TABLES["memory"](file)


def test_the_table_of_decoding_equals_the_measurements():
    document = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    file = ROOT / "benchmarks" / "results" / "decoding.csv"
    assert between("decoding", document) == TABLES["decoding"](file)


def test_the_tables_of_races_equal_the_measurements(monkeypatch):
    monkeypatch.chdir(ROOT)
    document = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for race in _pages.RACES:
        table = between(race, document)
        assert table == _pages.race(race)
        assert table != _pages.UNMEASURED
    assert between("promises", document) == _pages.promises()
    assert "not measured" not in between("promises", document)


def test_lists_of_scores_and_normalizers():
    from attention_zoo.layers.core.normalizers import NORMALIZERS
    from attention_zoo.layers.core.scores import SCORES

    for name in (*SCORES, *NORMALIZERS):
        assert f"`{name}`" in README, name


def test_files_that_the_documents_name_exist():
    for text in (README, CONTRIBUTING):
        linked = re.findall(r"\]\((?!http)([^)]+)\)", text)
        quoted = re.findall(r"`([\w./]+/[\w.]*(?:\.py|/))`", text)
        for name in {*linked, *quoted}:
            if SHOWN not in name:
                assert (ROOT / name).exists(), name


def test_the_citation_has_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {attention_zoo.__version__}\n" in citation


def test_the_changelog_has_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {attention_zoo.__version__}" in changelog


def test_translations_table():
    card = {
        "recipe": "some_words",
        "dataset": "words/1.0.0",
        "kind": "translation",
        "languages": ["de", "en"],
        "metric": "bleu",
        "bleu_mean": 37.25,
        "chrf_mean": 60.5,
        "seeds": [{}],
        "baselines": {"nearest_neighbour": {"bleu": 11.04, "chrf": 30.0}},
        "parameters": 12345,
        "model_file_mb": 1.5,
    }
    assert TABLES["results"]([card]) == "No such model has been trained yet."
    row = TABLES["results"]([card], "translations").splitlines()[-1]
    assert row == (
        "| [some_words](saved_models/some_words/README.md) | `words/1.0.0`, de to en "
        "| BLEU, chrF | 37.2, 60.5 |  | 11.0, 30.0 | 1 | 12,345 | 1.5 MB |"
    )


def test_results_table():
    card = {
        "recipe": "some_words",
        "dataset": "words/1.0.0",
        "kind": "text",
        "accuracy_mean": 0.75,
        "accuracy_std": 0.0125,
        "seeds": [{}, {}, {}],
        "baselines": {
            "no_attention": {"accuracy_mean": 0.5, "accuracy_std": 0.25},
            "linear": {"accuracy": 0.625},
        },
        "parameters": 12345,
        "model_file_mb": 1.5,
    }
    row = TABLES["results"]([card]).splitlines()[-1]
    assert row == (
        "| [some_words](saved_models/some_words/README.md) | `words/1.0.0` "
        "| 0.7500 ± 0.0125 | 0.5000 ± 0.2500 | 0.6250 | 3 | 12,345 | 1.5 MB |"
    )


def test_forecasts_table():
    """Look-backs never share a table; a card of accuracies is in none."""
    words = {"recipe": "some_words", "kind": "text", "accuracy_mean": 0.75}
    cards = [
        {
            "recipe": f"some_load_{lookback}",
            "dataset": "load/1.0.0",
            "kind": "series",
            "lookback": lookback,
            "horizons": [2, 5],
            "mse_2_mean": 0.25,
            "mse_5_mean": 0.5,
            "mse_5_std": 0.01,
            "baselines": {"seasonal_naive": {"mse_2": 0.75, "mse_5": 0.875}},
            "parameters": 12345,
            "model_file_mb": 1.5,
        }
        for lookback in (336, 96)
    ]
    table = TABLES["results"]([words, *cards], "forecasts")
    assert "some_words" not in table
    none = TABLES["results"]([words], "forecasts")
    assert none == "No such model has been trained yet."
    short, long = table.split("\n\n`load/1.0.0`, look-back 336")
    assert short.startswith("`load/1.0.0`, look-back 96, test MSE at each horizon:")
    assert "some_load_336" not in short
    assert short.splitlines()[-2:] == [
        "| [some_load_96](saved_models/some_load_96/README.md) | model | 0.250 "
        "| 0.500 ± 0.010 | 12,345 | 1.5 MB |",
        "|  | seasonal naive | 0.750 | 0.875 |  |  |",
    ]
    assert "some_load_96" not in long
