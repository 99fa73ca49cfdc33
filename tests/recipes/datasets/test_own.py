"""Own data on their way into TFDS: splits, duplicates, checks, prepared once."""

import collections

import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import loading, own
from attention_zoo.recipes.tasks import TASKS


def records(parts, labels, keys=None):
    return own.Records(
        example=lambda i: {},
        features=dict,
        parts=parts,
        labels=labels,
        keys=list(range(len(parts))) if keys is None else keys,
        place=lambda i: f"a.csv, row {i + 1}",
    )


def counts(parts, labels):
    return collections.Counter(zip(parts, labels, strict=True))


def test_a_tenth_of_each_class_is_held_out():
    labels = ["a"] * 70 + ["b"] * 30 + ["c"] * 3 + ["d"] * 2
    parts, dropped = own.split(records([""] * 105, labels), seed=0)
    assert counts(parts, labels) == {
        ("train", "a"): 56, ("validation", "a"): 7, ("test", "a"): 7,
        ("train", "b"): 24, ("validation", "b"): 3, ("test", "b"): 3,
        ("train", "c"): 1, ("validation", "c"): 1, ("test", "c"): 1,
        ("train", "d"): 2,
    }  # fmt: skip
    assert sum(dropped.values()) == 0
    again, _ = own.split(records([""] * 105, labels), seed=0)
    other, _ = own.split(records([""] * 105, labels), seed=1)
    assert (parts == again).all()
    assert (parts != other).any()


def test_duplicates_stay_on_one_side():
    keys = [i % 20 for i in range(200)]
    labels = [key % 2 for key in keys]
    parts, _ = own.split(records([""] * 200, labels, keys), seed=3)
    sides = {(key, part) for key, part in zip(keys, parts, strict=True)}
    assert len(sides) == 20
    assert {*parts} == {*own.PARTS}


def test_given_splits_stay_and_leaks_leave_train():
    given = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    keys = [0, 1, 2, 3, 4, 5, 3, 6, 7, 4, 7, 8]  # 3, 4 and 7 are on two sides
    labels = [0, 1] * 6
    parts, dropped = own.split(records(given, labels, keys), seed=0)
    assert parts.tolist() == [
        "train", "train", "train", "", "", "train",
        "validation", "validation", "", "test", "test", "test",
    ]  # fmt: skip
    assert [*dropped.values()] == [3]


def test_only_what_is_missing_is_held_out():
    given = ["train"] * 40 + ["test"] * 10
    found = records(given, [0, 1] * 25)
    parts, _ = own.split(found, seed=0)
    assert collections.Counter(parts) == {"train": 36, "validation": 4, "test": 10}
    assert (parts[40:] == "test").all()
    assert own.split_by(found, 7) == (
        "validation held out of train, split seed 7, each class alike"
    )
    whole = records(["train", "validation", "test"], [0, 0, 0])
    assert own.split_by(whole, 7) == "as given"


@pytest.mark.parametrize(
    ("parts", "labels", "message"),
    [
        ([""] * 30, ["a"] * 30, "all training rows have the label 'a'"),
        ([""] * 4, ["a", "b"] * 2, "the split validation is empty: of 4 rows too few"),
        (
            ["train"] * 4 + ["validation"] * 2 + ["test"] * 2,
            ["a", "b"] * 3 + ["a", "c"],
            "a.csv, row 8: the label 'c' of the split test is in no training row",
        ),
    ],
)
def test_bad_splits(parts, labels, message):
    with pytest.raises(UserError, match=message):
        own.split(records(parts, labels), seed=0)


OPTIONS = {
    "text": "review", "label": "stars",
    **dict.fromkeys(("split", "delimiter", "encoding")),
}  # fmt: skip


def test_a_file_is_prepared_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [f"text {i},{i % 3}\n" for i in range(60)]
    (tmp_path / "My reviews.csv").write_text("review,stars\n" + "".join(lines))
    request = own.Request("My reviews.csv", options=OPTIONS)
    found = own.prepare(TASKS["text"], request, tmp_path / "tfds")
    assert found.title == "My_reviews"
    assert found.name.startswith("own_my_reviews_")
    assert found.private
    assert "train 48, validation 6, test 6 (" in capsys.readouterr().out
    (file,) = found.source["files"]
    assert (file["name"], file["part"], len(file["sha256"])) == (
        "My reviews.csv", "data", 64,
    )  # fmt: skip
    assert found.source["splits"] == {"train": 48, "validation": 6, "test": 6}
    builder = loading.tfds_builder(found.name, tmp_path / "tfds")
    columns = loading.read_split(builder, "train+validation+test")
    stored = {
        (text.decode(), int(label))
        for text, label in zip(columns["text"], columns["label"], strict=True)
    }
    assert stored == {(f"text {i}", i % 3) for i in range(60)}
    assert loading.source_of(builder) == found.source

    def fail(request):
        raise AssertionError("read again")

    monkeypatch.setattr(TASKS["text"], "read_own", fail, raising=False)
    again = own.prepare(TASKS["text"], request, tmp_path / "tfds")
    assert again == found
    other = own.Request("My reviews.csv", split_seed=1, options=OPTIONS)
    with pytest.raises(AssertionError, match="read again"):
        own.prepare(TASKS["text"], other, tmp_path / "tfds")


def test_nothing_is_written_of_bad_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("review,stars\na,1\nb,\n")
    with pytest.raises(UserError, match="a.csv, row 2: the label is empty"):
        own.prepare(
            TASKS["text"], own.Request("a.csv", options=OPTIONS), tmp_path / "tfds"
        )
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.csv"
    path.write_text("review,stars\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    task, read = TASKS["text"], TASKS["text"].read_own

    def late(request):
        records = read(request)
        path.write_text(path.read_text() + "more,1\n")
        return records

    monkeypatch.setattr(task, "read_own", late, raising=False)
    with pytest.raises(UserError, match="a was changed while it was read: train again"):
        own.prepare(task, own.Request("a.csv", options=OPTIONS), tmp_path / "tfds")
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_a_full_disk(tmp_path):
    """What was written of the data set does not count, and the next try succeeds."""
    full = True

    def example(i):
        if full and i == 2:
            raise OSError(28, "No space left on device")
        return {"n": i}

    def features():
        import tensorflow_datasets as tfds

        return tfds.features.FeaturesDict({"n": np.int64})

    found = own.Records(example=example, features=features, parts=["train"] * 3)
    rows = {"train": np.arange(3), "validation": np.arange(1), "test": np.arange(1)}
    given = ("own_x", found, rows, {"source": {}}, tmp_path)
    with pytest.raises(OSError, match="No space left on device"):
        loading.store(*given)
    assert loading.stored("own_x", tmp_path) is None
    full = False
    assert loading.store(*given).info.splits["train"].num_examples == 3


def test_a_file_is_no_name_of_tfds():
    for name in ("my.csv", "/data/my.csv", "./my.csv"):
        with pytest.raises(UserError, match="A file of your own is given by --data"):
            loading.tfds_builder(name)


def test_the_share_of_a_split_is_rounded():
    free = np.ones(55, bool)
    groups = np.arange(55)
    parts = own.share_out(None, groups, free, ["test"], seed=0)
    assert collections.Counter(parts) == {"train": 49, "test": 6}
