"""docs/your-data.md, run from its embedded file: from a CSV to a served answer."""

import csv
import io
import json
import re
import shlex
import shutil
import sys

import pytest

import attention_zoo
from attention_zoo.recipes.cli import main as _cli
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.engine import trainer
from attention_zoo.recipes.tasks.text import partial, predictions


@pytest.fixture(scope="module")
def page(root):
    """The fenced blocks of the page, by language."""
    blocks = {}
    text = (root / "docs" / "your-data.md").read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", text, re.M | re.S):
        blocks.setdefault(language, []).append(block)
    return blocks


@pytest.fixture(scope="module")
def folder(page, tmp_path_factory):
    """A working directory with the file of the page and the entry trained on it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "reviews.csv").write_text(page["csv"][0])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))
        (line,) = [w for w in commands(page) if w[1] == "train"]
        assert _cli.main(line[1:]) == 0
        yield folder


def commands(page):
    lines = [line for block in page["sh"] for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("attention-zoo")]


def test_the_card(folder):
    card = json.loads((folder / "saved_models/reviews/card.json").read_text())
    source = card["source"]
    assert source["splits"] == {"train": 16, "validation": 2, "test": 2}
    assert source["options"] == {"text": "review", "label": "stars"}
    assert card["classes"] == ["1", "2"]
    assert [*card["baselines"]] == [
        "majority_class", "bag_of_words", "tfidf_logistic_regression", "nb_svm",
        "no_attention",
    ]  # fmt: skip
    assert card["baselines"]["majority_class"]["accuracy"] == 0.5
    assert {"accuracy", "macro_f1"} == {*card["metrics"]}
    assert card["command"] == (
        "attention-zoo train attention_lstm --data reviews.csv --text review "
        "--label stars --epochs 2"
    )
    readme = (folder / "saved_models/reviews/README.md").read_text()
    assert f"- reviews.csv, sha256 `{source['files'][0]['sha256']}`\n" in readme
    assert "20 rows: train 16, validation 2, test 2 (validation and test" in readme
    assert "| majority_class | 0.5000 | 0.3333 |" in readme
    # Own texts are private: no picture of them.
    assert not (folder / "saved_models/reviews/attention.png").exists()
    assert "attention.png" not in readme


def test_the_commands_of_the_page(folder, page, command):
    for words in commands(page):
        if words[1] != "train":
            code, out, err = command(*words[1:])
            assert (code, err) == (0, ""), words
            assert out
    code, out, _ = command("evaluate", "reviews")
    card = attention_zoo.pretrained.find("reviews").card
    measured = f"accuracy  measured {card['metrics']['accuracy']:.4f}  card "
    assert measured + f"{card['metrics']['accuracy']:.4f}\n" in out


def test_a_table_keeps_its_rows_and_columns(folder, command):
    rows = [["id", "said"], ["7", "a clever script"], ["8", ""], ["9", 'a\n"b"; c']]
    with open("in.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    given = ("predict", "reviews", "in.csv", "--text", "said", "--output")
    code, out, err = command(*given, "out.csv")
    assert (code, out) == (0, "out.csv: 3 rows\n")
    assert err == "1 empty text has no prediction (row 2)\n"
    with open("out.csv", newline="") as file:
        written = [*csv.reader(file)]
    assert [row[:2] for row in written] == rows
    assert written[0][2:] == ["prediction", "probability_1", "probability_2"]
    assert written[2][2:] == ["", "", ""]
    _, out, _ = command("predict", "reviews", "a clever script")
    name, probability = out.strip().split("\t")
    assert written[1][2] == name
    assert written[1][2 + int(name)] == str(float(probability))
    code, _, _ = command(*given, "out.jsonl")
    lines = (folder / "out.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    assert [line["said"] for line in lines] == [row[1] for row in rows[1:]]


def test_a_killed_prediction_goes_on(folder, command, monkeypatch):
    """Parts of three rows; the process dies between the second and its note."""
    monkeypatch.setattr(predictions, "ROWS", 3)
    lines = [f"{i},film {i} is good" for i in range(8)]
    (folder / "long.csv").write_text("id,said\n" + "\n".join(lines) + "\n")
    given = ("predict", "reviews", "long.csv", "--text", "said", "--output")
    assert command(*given, "whole.csv")[0] == 0

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        write, calls = partial.files.write_json, []
        patch.setattr(
            partial.files, "write_json",
            lambda *a: die() if calls else calls.append(write(*a)),
        )  # fmt: skip
        code, out, _ = command(*given, "long_out.csv")
    assert code == 130
    assert "kept: the same command with --resume goes on" in out
    left = {file.name for file in folder.glob(".long_out*")}
    assert left == {".long_out.partial.csv", ".long_out.partial.json"}
    other = (*given[:4], "id", "--output", "long_out.csv", "--resume")
    code, _, err = command(*other)
    assert (code, "text was said, now id" in err) == (2, True)
    code, out, _ = command(*given, "long_out.csv", "--resume")
    assert (code, out) == (0, "resuming after 3 rows\nlong_out.csv: 8 rows\n")
    whole = (folder / "whole.csv").read_bytes()
    assert (folder / "long_out.csv").read_bytes() == whole
    assert not [*folder.glob(".long_out*")]
    assert "starts anew" in command(*given, "long_out.csv", "--resume")[1]


def test_evaluation_on_a_file(folder, command, refused):
    code, out, err = command("evaluate", "reviews", "--data", "reviews.csv")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "reviews on reviews.csv, 20 rows"
    assert [line.split("  ")[0] for line in lines[1:3]] == ["accuracy", "macro F1"]
    assert [line.split()[4] for line in lines[5:7]] == ["10", "10"]
    hits = sum(int(line.split()[1 + i]) for i, line in enumerate(lines[-2:]))
    assert float(lines[1].split()[1]) == hits / 20
    (folder / "more.csv").write_text("review,stars\ngood,3\n")
    told = refused("evaluate", "reviews", "--data", "more.csv")
    assert told == "more.csv, row 1: the label '3' is none of the model's: 1, 2"
    (folder / "other.csv").write_text("said,stars\ngood,1\n")
    assert "no column 'review'" in refused("evaluate", "reviews", "--data", "other.csv")
    given = ("evaluate", "reviews", "--data", "other.csv", "--text", "said")
    assert command(*given)[0] == 0


def test_a_line_for_each_line_and_what_was_cut(folder, command, monkeypatch):
    lines = b"good\n\n\xff\n" + b"word " * 40 + b"\nbad\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    code, out, err = command("predict", "reviews")
    assert code == 2
    assert [bool(line) for line in out.splitlines()] == [True, False, False, True, True]
    assert err.splitlines()[-2:] == [
        "1 text was cut after 16 words",
        "2 texts have no known word: what comes out for such a text means nothing "
        "(is it in another language or script?)",
    ]


def test_bad_input(folder, refused):
    written = {file.name for file in folder.iterdir()}
    train = ("train", "attention_lstm", "--data", "reviews.csv")
    told = {
        (*train, "--text", "reviw", "--label", "stars"): "Did you mean review?",
        (*train, "--text", "review"): "--label COLUMN is missing: reviews.csv has",
        (*train, "--smoke"): "--smoke trains on generated examples: leave out --data",
        ("train", "attention_lstm", "--data", "review.csv"): "Did you mean reviews.csv",
        ("train", "attention_lstm"): "is a model: give it --data FILE, or train one of",
        ("train", "attention_lstn", "--data", "reviews.csv"): "mean attention_lstm",
        ("train", "attention_lstm_reviews", "--text", "x"): "give --data FILE too",
        ("train", "attention_lstm_reviews", "--set", "dataset=my.csv"): "--data my.csv",
        ("predict", "reviews", "--resume", "x"): "give --output FILE too",
        (*train, "--freeze", "2"): "needs --from ENTRY, received 2 without it",
        (*train, "--from", "review"): "Unknown trained model 'review'",
        ("train", "--data", "reviews.csv"): "argument is required: RECIPE",
        ("train", "cbam_resnet", "--from", "reviews", "--data", "x.csv"): (
            "--from reviews is a model attention_lstm, not cbam_resnet"
        ),
        ("predict", "reviews", "reviews.csv"): "--text COLUMN --output FILE.csv",
        ("predict", "reviews", "reviews.csv", "--text", "review"): "--output FILE is",
        (
            *("predict", "reviews", "reviews.csv", "--text", "review"),
            *("--output", "out.xlsx"),
        ): "--output takes a file that ends in .csv",
        (
            *("predict", "reviews", "reviews.csv", "--text", "review"),
            *("--output", "reviews.csv"),
        ): "would replace reviews.csv",
    }
    for words, message in told.items():
        assert message in refused(*words), words
    assert {file.name for file in folder.iterdir()} == written


def test_python(folder, page, monkeypatch):
    """The call of the page asks for the training that the command ran."""
    asked = {}

    def train(recipe, seeds, **more):
        asked.update(recipe=recipe, seeds=seeds, **more)
        shutil.copytree("saved_models/reviews", "saved_models/reviews_in_python")

    monkeypatch.setattr(trainer, "train", train)
    exec(page["python"][0], {})
    recipe = asked["recipe"]
    assert (recipe.name, asked["options"].name) == ("table", "reviews_in_python")
    assert recipe.model == "attention_lstm"
    assert recipe.dataset.startswith("own_table_")
    assert (recipe.epochs, recipe.config["attention"]) == (1, None)
    assert not recipe.show_examples
    assert [*asked["seeds"]] == [0]
    with pytest.raises(UserError, match="reviews_in_python holds a model .*--name NEW"):
        exec(page["python"][0], {})
    with pytest.raises(UserError, match="unknown argument of train 'txt'. Did you"):
        attention_zoo.recipes.train("attention_lstm", "reviews.csv", txt="review")
