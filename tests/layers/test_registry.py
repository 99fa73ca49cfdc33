import pathlib

import keras
import numpy as np
import pytest
from support.layer_cases import all_cases

from attention_zoo import layers
from attention_zoo.layers.core.positions import Position
from attention_zoo.layers.registry import FAMILIES, attention_class

NAMES = pathlib.Path(__file__).parents[1] / "support" / "registered_names.txt"
# Parts of an attention, which the tests of the whole check.
PARTS = (layers.Score, layers.Normalizer, Position)


def registered():
    objects = keras.saving.get_custom_objects()
    return {k: v for k, v in objects.items() if k.startswith("attention_zoo>")}


def test_registered_names_never_change():
    """A name in the file is in somebody's saved model. Add new ones, remove none."""
    assert sorted(registered()) == NAMES.read_text().split()


def test_every_registered_layer_is_exported_and_has_a_case():
    tested = {case.cls for case in all_cases()}
    for key, cls in registered().items():
        name = key.split(">")[1]
        if not cls.__module__.startswith("attention_zoo.layers"):
            continue  # of the zoo's models
        assert getattr(layers, name, None) is cls, f"{name} is not in layers/__init__"
        if not issubclass(cls, PARTS):
            assert cls in tested or name in UNCASED, f"{name} has no case"


# Parts whose call fits no case: their own modules check them.
UNCASED = {"AttentionCell", "DeStationaryFactors", "FeedForward"}


# What a composite is made of has no default.
REQUIRED = {
    "gated": {"layer": "self_attention"},
    "parallel": {"layers": ["self_attention"]},
    "serial": {"layers": ["self_attention"]},
}


def test_every_name_is_in_one_family_and_is_made():
    names = [name for members in FAMILIES.values() for name in members]
    assert len(set(names)) == len(names)
    for name in names:
        layer = layers.create_attention(name, **REQUIRED.get(name, {}))
        assert type(layer) is attention_class(name)
        assert registered()[f"attention_zoo>{type(layer).__name__}"] is type(layer)


def test_patterns_families_and_config():
    assert layers.list_attentions("bahd*") == ["bahdanau_attention"]
    assert "attention_pooling" in layers.list_attentions(family="pooling")
    assert "attention_pooling" not in layers.list_attentions(family="sequence")
    assert layers.get_family("bahdanau_attention") == "sequence"
    layer = layers.create_attention("attention", score="dot", window=3)
    assert (layer.score, layer.window) == ("dot", 3)


def test_sequence_and_pooling_families_keep_their_call():
    x = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")
    for name in layers.list_attentions(family="sequence"):
        output = layers.create_attention(name)(x[:, :3], x)
        assert output.shape[:2] == (2, 3), name
    for name in layers.list_attentions(family="pooling"):
        assert layers.create_attention(name)(x).shape[0] == 2, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: layers.create_attention("bahdanou_attention"),
            "did you mean 'bahdanau_attention'",
        ),
        (lambda: layers.get_family("nothing"), "Unknown attention. Expected one of"),
        (lambda: layers.list_attentions(family="poling"), "did you mean 'pooling'"),
    ],
)
def test_unknown_names(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        (
            "cbam",
            {"ration": 8},
            r"Unknown arguments of the attention 'cbam'. Expected some of "
            r"\['activation', .*'ratio', .*\]. "
            r"Received: ration=8 \(did you mean 'ratio'",
        ),
        # An argument of a base class is one of the layer's, unless the layer sets it.
        ("bahdanau_attention", {"widow": 3, "units": 5}, "did you mean 'window'"),
        (
            "gated_attention",
            {"score": "dot"},
            r"Expected some of \[.*Received: score='",
        ),
        ("linformer_attention", {"window": 3}, "Received: window=3"),
        ("serial", {"layers": ["cbam"], "merge": "sum"}, "Received: merge='sum'"),
        ("parallel", {"layers": ["cbam"], "merg": "sum"}, "did you mean 'merge'"),
        (
            "gated",
            {},
            r"'gated' lacks arguments. Expected \['layer'\] as well. Received",
        ),
        # What the class itself says of a known argument stands.
        ("cbam", {"kernel_size": 2}, "Expected an odd integer"),
        ("cbam", {"ratio": 2, "trainable": False, "data_format": "no"}, "'no'"),
    ],
)
def test_unknown_arguments(name, config, message):
    with pytest.raises(ValueError, match=message):
        layers.create_attention(name, **config)
