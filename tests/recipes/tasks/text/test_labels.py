"""Several labels to a text: how tables say them, and how answers are scored."""

import json
import math

import numpy as np
import pandas
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.tasks import TASKS, many_labels
from attention_zoo.recipes.tasks.text import baselines, labels, reader

OPTIONS = dict.fromkeys(
    ("text", "label", "label_separator", "split", "delimiter", "encoding")
)
ROWS = [("a b", ("joy",)), ("c d", ()), ("e f", ("anger", "joy"))]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file into an empty working directory and returns its name."""
    monkeypatch.chdir(tmp_path)

    def put(name, content):
        (tmp_path / name).write_text(content)
        return name

    return put


def read(data, label, **more):
    options = {**OPTIONS, "text": "text", "label": label, **more}
    return reader.read(own.Request(data, options=options))


def stored(records):
    """Returns text and names of the labels of each row, as TFDS stores them."""
    names = records.features()["labels"].feature.names
    rows = [records.example(i) for i in range(len(records.parts))]
    return [(row["text"], tuple(names[n] for n in row["labels"])) for row in rows]


def test_columns_of_0_and_1(write):
    name = write("a.csv", "text,anger,joy,id\na b,0,1,7\nc d,0,0,8\ne f,1,1,9\n")
    records = read(name, "anger,joy")
    assert stored(records) == ROWS
    assert records.labels == ["joy", "", "anger"]  # the rarest one
    assert records.notes == ["each text may have several labels, of anger, joy"]
    assert stored(read(name, "*")) == ROWS  # `id` holds other numbers
    frame = pandas.DataFrame(
        {"text": ["a b", "c d"], "anger": [False, False], "joy": [True, False]}
    )
    assert stored(read(frame, "anger,joy")) == ROWS[:2]


def test_a_column_of_lists(write):
    lines = [json.dumps({"text": t, "tags": y}) + "\n" for t, y in ROWS]
    records = read(write("a.jsonl", "".join(lines)), "tags")
    assert stored(records) == ROWS
    frame = pandas.DataFrame(ROWS, columns=["text", "tags"])
    frame.to_parquet("a.parquet")
    assert stored(read("a.parquet", "tags")) == ROWS


def test_a_separator(write):
    name = write("a.csv", "text,tags\na b,joy\nc d,\ne f,anger; joy;anger\n")
    assert stored(read(name, "tags", label_separator=";")) == ROWS


@pytest.mark.parametrize(
    ("content", "label", "message"),
    [
        ("text,a,b\nx,1,2\n", "a,b", "a.csv, row 1: the column 'b' holds '2'"),
        ("text,a,b\nx,1,\n", "a,b", "a.csv, row 1: the column 'b' holds ''"),
        ("text,a,b\nx,1,0\n", "a,c", "a.csv has no column 'c' "),
        ("text,a,b\nx,1,5\n", "b*", "a.csv has no column of 0 and 1 that fits 'b"),
    ],
)
def test_bad_columns(write, content, label, message):
    with pytest.raises(UserError) as refused:
        read(write("a.csv", content), label)
    assert message in str(refused.value)
    with pytest.raises(UserError, match="is for one column of labels"):
        read("a.csv", "a,b", label_separator=";")


def test_lists_and_other_cells_do_not_mix(write):
    name = write("a.jsonl", '{"text": "a", "y": ["b"]}\n{"text": "c", "y": 2.5}\n')
    with pytest.raises(UserError, match="a.jsonl, row 2: the label 2.5 is no class"):
        read(name, "y")


def test_a_label_of_the_test_split_alone():
    records = own.Records(
        example=dict, features=dict, parts=["train", "train", "validation", "test"],
        labels=["a", "b", "a", "b"], tags=[("a",), ("b",), ("a",), ("b", "c")],
        keys=[1, 2, 3, 4], place=lambda i: f"row {i + 1}",
    )  # fmt: skip
    with pytest.raises(UserError, match="row 4: the label 'c' of the split test is in"):
        own.split(records, 0)


def test_the_rarest_label():
    rows = [("a", "b"), ("a",), (), ("a", "b", "c")]
    assert labels.rarest(rows) == ["b", "a", "", "c"]


def test_scores():
    right = many_labels.hot([[0], [], [0, 1], [1]], 3)
    assert right.tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]]
    given = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]])
    scores = many_labels.scores_of(given, right)
    assert scores == {
        "macro_f1": (2 * 2 / 4 + 2 * 1 / 4) / 2,  # nobody speaks of the third
        "micro_f1": 2 * 3 / 8,
        "subset_accuracy": 0.5,
    }
    nothing = many_labels.scores_of(np.zeros((2, 3)), np.zeros((2, 3)))
    assert nothing == {"macro_f1": 0.0, "micro_f1": 0.0, "subset_accuracy": 1.0}
    assert many_labels.names_above([0.6, 0.5, 0.51], ["a", "b", "c"]) == ["a", "c"]


def test_a_line_for_each_text():
    task, card = TASKS["text"], {"multi_label": True, "classes": ["a", "b"]}
    row = np.array([0.75, 0.6])
    assert task.verdict(row, card) == "a, b\t0.7500, 0.6000"
    assert task.verdict(row / 2, card) == "no label\t0.3750"


def test_baselines():
    texts = [f"{'red' * (i % 2)} {'blue' * (i % 3 > 0)} film" for i in range(60)]
    right = np.array([[i % 2, i % 3 > 0, 0] for i in range(60)], "int8")
    part = (texts, right)
    found = baselines.tfidf(part, part, part)
    assert found["macro_f1"] == found["subset_accuracy"] == 1
    frequent = many_labels.most_frequent(part, part, part)  # the second label alone
    assert frequent["micro_f1"] == pytest.approx(2 * 40 / (60 + 70))
    assert math.isclose(frequent["subset_accuracy"], 20 / 60)
