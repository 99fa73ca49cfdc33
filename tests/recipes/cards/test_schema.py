"""Cards are checked when they are read: one line names the field that is wrong."""

import json
import pathlib

import pytest

from attention_zoo.recipes.cards.schema import check_card
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks import TASKS

ENTRIES = pathlib.Path(__file__).resolve().parents[3] / "saved_models"
SERIES, IMAGES = "attention_forecaster_climate", "cbam_resnet_digits"


def read(name):
    return json.loads((ENTRIES / name / "card.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (IMAGES, {"image_shape": "8x8"},
         'image_shape must be a list of 3, each of it a whole number, received "8x8"'),
        (IMAGES, {"image_shape": [8, 8]}, "image_shape must be a list of 3"),
        (IMAGES, {"image_shape": [8, 8, True]}, "image_shape.2 must be a whole number"),
        (IMAGES, {"classes": [1, 2]}, "classes.0 must be a text, received 1"),
        (IMAGES, {"parameters": "many"}, "parameters must be a whole number"),
        (IMAGES, {"accuracy_mean": []}, "accuracy_mean must be a number, received []"),
        (IMAGES, {"baselines": {"b": {"accuracy": "high"}}},
         'baselines.b.accuracy must be a number, received "high"'),
        (IMAGES, {"metrics": {"accuracy": None}}, "metrics.accuracy must be a number"),
        (SERIES, {"lookback": 7.5}, "lookback must be a whole number, received 7.5"),
        (SERIES, {"seeds": {}}, "seeds must be a list, each of it an object"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(name, change, message):
    with pytest.raises(UserError) as refused:
        check_card(read(name) | change, "card.json")
    assert str(refused.value).startswith(f"card.json: the field {message}")
    assert "\n" not in str(refused.value)


def test_a_missing_field_is_named():
    card = read(SERIES)
    del card["lookback"]
    with pytest.raises(UserError, match="^x: the field lookback is missing$"):
        check_card(card, "x")
    kind = check_card(card, "x", need_kind=False)["kind"]
    assert kind == read(SERIES)["kind"]
    with pytest.raises(UserError, match="unknown kind 'serie'. Did you mean series"):
        check_card(card | {"kind": "serie"}, "x")


@pytest.mark.parametrize(
    "name", sorted(p.parent.name for p in ENTRIES.glob("*/*.json"))
)
def test_a_card_from_before_kinds_has_one(name):
    card = read(name)
    kind = card.pop("kind")
    assert check_card(card, name)["kind"] == kind
    for fact in TASKS[kind].facts:
        card.pop(fact, None)
    assert check_card(card, name, need_kind=False)["kind"] == kind  # by its recipe
    assert check_card({"sha256": "0"}, name, need_kind=False)["kind"] is None
    with pytest.raises(UserError, match="the field kind is missing"):
        check_card({"sha256": "0"}, name)


@pytest.mark.parametrize(
    ("kind", "card", "words"),
    [
        ("images", {"classes": ["a"], "image_shape": [8, 8, 1]}, []),
        ("text", {"classes": [str(i) for i in range(10)]}, ["a film"]),
        ("translation", {}, ["a film"]),
    ],
)
def test_the_card_of_another_kind(refused, tmp_path, monkeypatch, kind, card, words):
    """Over an image model: in one line, before the model is called."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "saved_models" / "mixed"
    folder.mkdir(parents=True)
    (folder / "model.keras").symlink_to(ENTRIES / IMAGES / "model.keras")
    card = card | {"kind": kind, "sha256": read(IMAGES)["sha256"]}
    (folder / "card.json").write_text(json.dumps(card))
    Image.new("L", (8, 8)).save("x.png")
    message = refused("explain", "mixed", *(words or ["x.png"]))
    if words:
        assert message == (
            f"mixed: the card is that of a model of the kind {kind}, which takes "
            "strings of the shape (None,), and the model takes numbers of the shape "
            "(None, 8, 8, 1)"
        )
    else:
        assert (
            "names 1 classes, the model has outputs of the shape (None, 10)" in message
        )
