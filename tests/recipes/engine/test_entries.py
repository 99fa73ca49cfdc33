"""Nothing published is replaced unasked, and the check comes before the training."""

import json

import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import get_recipe
from attention_zoo.recipes.engine import entries, trainer
from attention_zoo.recipes.engine.execution import Options

RECIPE = "attention_lstm_reviews"
SETTINGS = json.loads(json.dumps(get_recipe(RECIPE).settings()))
CARD = {
    "recipe": RECIPE,
    "smoke": False,
    "sha256": "77",
    "settings": SETTINGS,
    "command": f"attention-zoo train {RECIPE}",
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Writes a card into `saved_models/RECIPE` of the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trainer, "train", lambda *given: "trained")

    def write(**changes):
        folder = tmp_path / "saved_models" / RECIPE
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "card.json").write_text(json.dumps(CARD | changes))
        return folder

    return write


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        ({}, [], "trained already"),
        ({}, ["--set", "units=17"], "trained with other settings"),
        ({}, ["--set", "dataset=mine"], "trained on zoo_reviews"),
        ({"recipe": "other"}, [], "of the recipe other"),
        ({"settings": None}, [], "of unknown settings"),
        ({}, ["--set", "units=17", "--resume"], "trained with other settings"),
        ({"failed_steps": {"curves": "x"}}, ["--resume"], "trained already"),
    ],
)
def test_a_model_is_not_replaced_unasked(place, command, refused, changes, more, words):
    folder = place(**changes)
    message = refused("train", RECIPE, *more)
    assert message.startswith(
        f"saved_models/{RECIPE} holds a model {words}: --name NEW trains another "
        "beside it, --force replaces it"
    )
    assert ("--resume completes it" in message) == ("failed_steps" in changes)
    for allowed in (["--force"], ["--name", "mine"]):
        assert command("train", RECIPE, *more, *allowed)[:2] == (0, "trained\n")
    assert json.loads((folder / "card.json").read_text()) == CARD | changes


def test_what_a_smoke_run_left_is_replaced(place, command):
    place(smoke=True)
    assert command("train", RECIPE)[:2] == (0, "trained\n")


def test_a_damaged_entry_is_not_replaced_either(place, refused):
    folder = place()
    for text in ("{", "[]"):
        (folder / "card.json").write_text(text)
        assert "of unknown settings" in refused("train", RECIPE)
    (folder / "card.json").unlink()
    (folder / "model.keras").write_bytes(b"")
    assert "of unknown settings" in refused("train", RECIPE)


def test_resume_of_what_is_published(place, command, refused, tmp_path):
    """A job that is queued again has nothing to do; a kill may come at the very end."""
    place()
    told = f"saved_models/{RECIPE} is trained already\n"
    assert command("train", RECIPE, "--resume")[:2] == (0, told)
    hidden = entries.hidden_of("saved_models", RECIPE)
    hidden.mkdir()
    assert "trained already" in refused("train", RECIPE, "--resume")  # of another one
    (hidden / entries.PUBLISHED).write_text("77")
    assert command("train", RECIPE, "--resume")[:2] == (0, "trained\n")
    assert "trained already" in refused("train", RECIPE)


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "..", "x.keras", "a b"])
def test_a_name_is_that_of_a_folder(refused, name):
    assert f"received '{name}'" in refused("train", RECIPE, "--name", name)


def test_the_name_reaches_the_training_and_the_command(command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    calls = []
    monkeypatch.setattr(trainer, "train", lambda *given: calls.append(given) or "x")
    command("train", RECIPE, "--name", "mine", "--force")
    (given,) = calls
    assert given[5] == f"attention-zoo train {RECIPE} --name mine"
    assert given[6] == Options(name="mine", force=True)
    assert given[6].facts() == {}
    assert entries.name_of(given[0], given[6]) == "mine"
    (tmp_path / "saved_models" / "mine").mkdir(parents=True)
    (tmp_path / "saved_models" / "mine" / "card.json").write_text(json.dumps(CARD))
    with pytest.raises(UserError, match="saved_models/mine holds a model trained"):
        entries.check("saved_models", "mine", given[0], Options())
