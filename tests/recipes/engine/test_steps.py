"""A finished training is published whatever fails after it; data are checked first."""

import json
import types

import keras
import numpy as np
import pytest
from support.killed_training import tiny_model

from attention_zoo.recipes.cards import card, plots
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.engine import publishing, trainer
from attention_zoo.recipes.engine.splits import check_splits
from attention_zoo.recipes.tasks.text import pipeline as text

RECIPE = "attention_lstm_reviews"
TRAIN = ("train", RECIPE, "--smoke", "--epochs", "1", "--name", "mine", "--out")
STEPS = (
    "attention", "broken", "no_attention", "test", "saved_model", "curves",
    "attention_picture", "single_prediction",
)  # fmt: skip


def fail(*arguments, **more):
    raise IndexError("index 3 is out of bounds")


@pytest.fixture
def small(monkeypatch):
    """A model that trains in no time; the list of the baselines that were measured."""
    measured: list = []

    def measure(name):
        return lambda: measured.append(name) or {"accuracy": 0.25}

    monkeypatch.setattr(trainer, "build", tiny_model)
    monkeypatch.setattr(card, "measure_prediction", lambda *a: {
        "peak_memory_mb": 1, "ms": 1,
    })  # fmt: skip
    for name in ("curves", "attention"):
        monkeypatch.setattr(plots, name, lambda *arguments: None)
    monkeypatch.setattr(text.Pipeline, "attention_report", lambda *a: {"seen": 1})
    monkeypatch.setattr(
        text.Pipeline,
        "baselines",
        lambda self: {name: measure(name) for name in ("whole", "broken")},
    )
    return measured


def read(folder):
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))


def test_all_that_follows_a_training_may_fail(small, command, tmp_path, monkeypatch):
    folder, hidden = tmp_path / "mine", tmp_path / ".training-mine"
    with monkeypatch.context() as broken:
        broken.setattr(text.Pipeline, "attention_report", fail)
        broken.setattr(text.Pipeline, "baselines", lambda self: {
            "whole": lambda: small.append("whole") or {"accuracy": 0.25},
            "broken": fail,
        })  # fmt: skip
        for place, name in (
            (trainer, "measure_test"), (publishing, "write_saved_model"),
            (plots, "curves"), (plots, "attention"), (card, "measure_prediction"),
        ):  # fmt: skip
            broken.setattr(place, name, fail)
        code, out, err = command(*TRAIN, tmp_path)
    assert code == 0
    assert out.endswith(f"{folder}\n")
    noted = read(folder)
    assert noted["failed_steps"] == dict.fromkeys(
        STEPS, "IndexError: index 3 is out of bounds"
    )
    assert noted["name"] == "mine"
    assert (noted["metrics"], noted["attention"]) == ({}, {})
    assert noted["baselines"] == {"whole": {"accuracy": 0.25}}
    last = err.splitlines()[-1]
    assert last.startswith(f"attention-zoo: warning: {folder} is published without ")
    assert all(step in last for step in STEPS)
    told = (folder / "README.md").read_text(encoding="utf-8")
    assert "`curves` (IndexError: index 3 is out of bounds)" in told
    assert "curves.png" not in told
    assert "was not measured on the test split" in told
    assert not (folder / "saved_model").exists()
    weights = keras.models.load_model(folder / "model.keras").get_weights()
    for name in (folder, hidden):
        assert (name / "model.keras").stat().st_size > 1000
    code, shown, _ = command("show", folder)
    assert code == 0
    assert "failed after the training: broken (IndexError" in shown
    # The failed steps alone are repeated.
    code, out, err = command(*TRAIN, tmp_path, "--resume")
    assert (code, err) == (0, "")
    assert out.count("trained already") == 2
    assert small == ["whole", "broken"]
    whole = read(folder)
    assert "failed_steps" not in whole
    assert {*whole["baselines"]} == {"whole", "broken", "no_attention"}
    assert whole["accuracy_mean"] == whole["metrics"]["accuracy"]
    assert whole["attention"] == {"seen": 1}
    assert whole["single_prediction_ms"] == 1
    assert (folder / "saved_model" / "saved_model.pb").exists()
    again = keras.models.load_model(folder / "model.keras").get_weights()
    for one, other in zip(weights, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not hidden.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


@pytest.mark.usefixtures("small")
def test_a_model_file_that_differs_is_named(command, tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "difference", lambda *arguments: float("nan"))
    assert command(*TRAIN, tmp_path)[0] == 0
    failed = read(tmp_path / "mine")["failed_steps"]
    assert "model.keras differs from the trained model by nan" in failed["model_file"]


# === Before the first step ===


def make(**splits):
    """A pipeline with two classes; a split is a list of labels."""

    def raw(name):
        labels = {"train": [0, 1], "validation": [1], "test": [0], **splits}[name]
        return ["x"] * len(labels), np.array(labels, int)

    splits_of = {f"{k}_split": f"{k}[:7]" for k in ("train", "validation", "test")}
    recipe = types.SimpleNamespace(**splits_of)
    return types.SimpleNamespace(
        raw=raw, classes=["a", "b"], dataset="words", recipe=recipe
    )


def test_splits_and_labels():
    check_splits(make())
    with pytest.raises(UserError, match=r"^words: the split 'test\[:7\]' is empty$"):
        check_splits(make(test=[]))
    with pytest.raises(UserError, match=r"2 of 3 labels in the split 'train\[:7\]' are "
                                        "none of 0 to 1, such as -1"):  # fmt: skip
        check_splits(make(train=[-1, 0, 2]))


def test_a_missing_test_split_is_found_at_once(refused, tmp_path, monkeypatch):
    generated = text.generate

    def split(name):
        if name == "test":
            raise UserError("dataset 'words' has no split 'held_out': it has train")
        return generated(name)

    monkeypatch.setattr(text, "generate", split)
    monkeypatch.setattr(trainer, "fit", fail)
    message = refused(*TRAIN, tmp_path)
    assert message == "dataset 'words' has no split 'held_out': it has train"
    assert not list(tmp_path.iterdir())
