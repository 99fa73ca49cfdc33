"""`attention-zoo train RECIPE --config FILE`."""

import json

import pytest

from attention_zoo.recipes.core.config import read_config
from attention_zoo.recipes.core.recipe import get_recipe, list_recipes
from attention_zoo.recipes.engine import trainer

RECIPE = "attention_lstm_reviews"


def write(path, text):
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def test_train_takes_the_settings(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = []
    monkeypatch.setattr(trainer, "train", lambda *given: calls.append(given) or "x")
    settings = {"recipe": RECIPE, "units": 17, "attention": None, "epochs": 5}
    write(tmp_path / "my best.json", settings)
    words = ["train", RECIPE, "--config", "my best.json", "--set", "units=19"]
    assert command(*words)[0] == 0
    assert command(*words[:3], tmp_path / "my best.json", "--epochs", 2)[0] == 0
    first, second = (call[0].settings() for call in calls)
    assert (first["units"], first["attention"], first["epochs"]) == (19, None, 5)
    assert (second["units"], second["epochs"]) == (17, 2)
    told = f"attention-zoo train {RECIPE} --config 'my best.json' --set units=19"
    assert calls[0][5] == told
    assert str(tmp_path) not in calls[1][5]


def test_each_setting_of_each_recipe_survives(tmp_path):
    for name in list_recipes():
        recipe = get_recipe(name)
        file = write(tmp_path / "all.json", {"recipe": name, **recipe.settings()})
        assert read_config(recipe, file) == recipe


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"unts": 3}, "unknown setting in bad.json 'unts'. Did you mean units"),
        ({"units": "3"}, "setting units takes a value of type int (now 32)"),
        ({"units": 3.5}, "setting units takes a value of type int"),
        ({"units": None}, "setting units takes a value of type int"),
        ({"learning_rate": True}, "learning_rate takes a value of type float"),
        ({"dataset": 3}, "bad.json: setting dataset takes a text (now zoo_reviews)"),
        ({"epochs": 0}, "epochs must be positive, received 0"),
        ({"attention": "sum"}, "unknown attention 'sum'"),
        ({"recipe": "other"}, "is for the recipe other, not for attention_lstm_rev"),
        ([1, 2], "bad.json must hold one JSON object"),
        ("{", "bad.json is not JSON"),
        ('{"learning_rate": NaN}', "learning_rate takes a value of type float"),
    ],
)
def test_bad_files(refused, tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bad.json", content)
    assert message in refused("train", RECIPE, "--config", "bad.json")
    assert [file.name for file in tmp_path.iterdir()] == ["bad.json"]


def test_no_file(refused, tmp_path):
    assert "No such file" in refused("train", RECIPE, "--config", tmp_path / "no.json")
