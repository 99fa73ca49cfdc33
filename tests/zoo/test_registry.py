"""create, list_models and the table behind them."""

import importlib
import pathlib

import keras
import pytest

import attention_zoo
from attention_zoo.registry import MODELS, get_builder


def test_list_models():
    assert attention_zoo.list_models() == sorted(MODELS)
    assert attention_zoo.list_models("*lstm") == ["attention_lstm"]
    assert attention_zoo.list_models("nothing*") == []


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_one_function_in_a_file_of_its_name(name):
    builder = get_builder(name)
    assert builder.__name__ == name
    module = importlib.import_module(builder.__module__)
    assert pathlib.Path(module.__file__).stem == name
    assert "Args:" in builder.__doc__
    assert "Returns:" in builder.__doc__
    assert "https://" in builder.__doc__


def test_create():
    model = attention_zoo.create("attention_lstm", vocabulary_size=11, name="mine")
    assert isinstance(model, keras.Model)
    assert model.name == "mine"


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("atention_lstm", {}, "did you mean 'attention_lstm'"),
        (None, {}, "Received: name=None"),
        ("attention_lstm", {}, "Missing argument.*vocabulary_size"),
        (
            "attention_lstm",
            {"vocabulary_size": 11, "unit": 3},
            r"Received: unit=3 \(did you mean 'units'\?\)",
        ),
    ],
)
def test_errors(name, config, message):
    with pytest.raises(ValueError, match=message):
        attention_zoo.create(name, **config)
