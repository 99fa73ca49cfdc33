"""Weights of a published model load into a new one of the same settings."""

import inspect
import json
import pathlib

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo.generation.translator import Translator
from attention_zoo.kernels.lstm import BidirectionalLSTM
from attention_zoo.registry import get_builder

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "saved_models"
ENTRIES = sorted(path.parent.name for path in FOLDER.glob("*/model.keras"))
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def core_of(model, name):
    """Returns the model that a builder made, out of what reads raw inputs around it."""
    for layer in model.layers:
        if isinstance(layer, Translator):
            return layer.core
        if layer.name == name:
            return layer
    return model


def settings_of(card, core):
    """Returns the arguments of the builder, from the card and from what it was fed."""
    settings = dict(card["settings"])
    if "classes" in card:
        settings["num_classes"] = len(card["classes"])
    if "image_shape" in card:
        settings["input_shape"] = card["image_shape"]
    if "variates" in card:
        settings["num_variates"] = len(card["variates"])
        settings["horizon"] = max(card["horizons"])
    if isinstance(getattr(core, "config", None), dict):
        settings |= {k: v for k, v in core.config.items() if "vocabulary" in k}
    elif "vocabulary_size" in settings:
        settings["vocabulary_size"] = core.get_layer("embedding").input_dim
    known = inspect.signature(get_builder(card["model"])).parameters
    return {key: value for key, value in settings.items() if key in known}


def random_inputs(model):
    draw = np.random.default_rng(0)
    inputs = []
    for tensor in model.inputs:
        shape = [
            size or count
            for size, count in zip(tensor.shape, (3, 7, 7, 7), strict=False)
        ]
        whole = "int" in tensor.dtype
        drawn = draw.integers(1, 5, shape) if whole else draw.normal(size=shape)
        inputs.append(drawn.astype(tensor.dtype))
    return inputs if len(inputs) > 1 else inputs[0]


@pytest.mark.skipif(not ON_TENSORFLOW, reason="some entries read strings")
@pytest.mark.parametrize("name", ENTRIES)
def test_weights_of_an_entry_load_into_a_new_model(name, tmp_path):
    card = json.loads((FOLDER / name / "card.json").read_text(encoding="utf-8"))
    model = keras.models.load_model(FOLDER / name / "model.keras")
    core = core_of(model, card["model"])
    core.save_weights(tmp_path / "model.weights.h5")
    again = attention_zoo.create(card["model"], **settings_of(card, core))
    again.load_weights(tmp_path / "model.weights.h5")
    inputs = random_inputs(core)
    expected, found = (keras.ops.convert_to_numpy(m(inputs)) for m in (core, again))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_layers_with_kernels_have_the_weights_of_keras_own(tmp_path):
    """Both ways, and each keeps its class through a saved model."""
    pairs = {
        keras.layers.BatchNormalization: attention_zoo.FusedBatchNormalization,
        keras.layers.Bidirectional: attention_zoo.BidirectionalLSTM,
    }
    for theirs, ours in pairs.items():
        models = []
        for cls in (theirs, ours):
            steps = keras.Input((5, 3))
            inner = [keras.layers.LSTM(2, return_sequences=True)]
            layer = cls(*inner) if "Bidirectional" in theirs.__name__ else cls()
            models.append(keras.Model(steps, layer(steps)))
        models[0].set_weights([w + 0.5 for w in models[0].get_weights()])
        models[0].save_weights(tmp_path / "own.weights.h5")
        models[1].load_weights(tmp_path / "own.weights.h5")
        for one, other in zip(*(m.get_weights() for m in models), strict=True):
            np.testing.assert_array_equal(one, other)
        models[1].save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        assert isinstance(again.layers[-1], ours)


def test_the_registered_names_stay():
    name = keras.saving.get_registered_name
    assert name(BidirectionalLSTM) == "attention_zoo>BidirectionalLSTM"
    fused = attention_zoo.FusedBatchNormalization
    assert name(fused) == "attention_zoo>FusedBatchNormalization"
