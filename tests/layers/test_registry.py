import pathlib

import keras
import numpy as np
import pytest
from support.fresh import run_fresh
from support.layer_cases import all_cases

from attention_zoo import layers
from attention_zoo.layers.registry import (
    ALIASES,
    CLASSES,
    FAMILIES,
    attention_class,
    register_attentions,
    snake_case,
)

NAMES = pathlib.Path(__file__).parents[1] / "support" / "registered_names.txt"
# Parts of an attention, which the tests of the whole check.
PARTS = (layers.Score, layers.Normalizer, layers.Position)
# Parts whose call fits no case: their own modules check them.
UNCASED = {"AttentionCell", "DeStationaryFactors", "FeedForward"}
# Classes that were renamed: saved models know them by the first name.
RENAMED = {"Gated": "GatedFusion", "GatedAttention": "GatedAttentionPooling"}
# What a composite is made of has no default.
REQUIRED = {
    "gated_fusion": {"layer": "self_attention"},
    "parallel": {"layers": ["self_attention"]},
    "serial": {"layers": ["self_attention"]},
}


def registered():
    """Returns the layers that are registered with Keras, by registered name."""
    return {
        name: cls
        for name, cls in keras.saving.get_custom_objects().items()
        if name.startswith("attention_zoo>")
        and cls.__module__.startswith("attention_zoo.layers")
    }


def test_registered_names_never_change():
    """A name in the file is in somebody's saved model. Add new ones, remove none."""
    program = """
import importlib, pkgutil, sys, keras, attention_zoo
from attention_zoo import recipes
modules = [attention_zoo, recipes]
for package in modules:
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".datasets." not in module.name:
            importlib.import_module(module.name)
names = [n for n in keras.saving.get_custom_objects() if n.startswith("attention_zoo>")]
print("NAMES", *sorted(names))
"""
    (line,) = (
        line
        for line in run_fresh(program).stdout.splitlines()
        if line.startswith("NAMES")
    )
    assert line.split()[1:] == NAMES.read_text().split()


def test_every_registered_layer_is_exported_and_has_a_case():
    tested = {case.cls for case in all_cases()}
    for key, cls in registered().items():
        name = key.removeprefix("attention_zoo>")
        name = RENAMED.get(name, name)
        assert cls.__name__ == name
        assert name in layers.__all__, f"{name} is not in __all__ of its folder"
        assert getattr(layers, name) is cls
        if not issubclass(cls, PARTS):
            assert cls in tested or name in UNCASED, f"{name} has no case"


def test_a_star_import_gives_classes_and_functions_and_no_module():
    given: dict = {}
    exec("from attention_zoo.layers import *", given)
    given.pop("__builtins__")
    assert sorted(given) == sorted(set(layers.__all__)) == sorted(layers.__all__)
    for name, value in given.items():
        assert callable(value), name
        assert value.__module__.startswith("attention_zoo.layers."), name
        assert value.__name__ == name


def test_every_name_is_made_and_its_class_says_its_family():
    for name in layers.list_attentions():
        layer = layers.create_attention(name, **REQUIRED.get(name, {}), name="given")
        assert layer.name == "given"
        assert type(layer) is attention_class(name) is getattr(layers, _class(name))
        assert layers.get_family(name) == layer.family
    families = {family: layers.list_attentions(family=family) for family in FAMILIES}
    assert all(families.values())
    assert sorted(sum(families.values(), [])) == layers.list_attentions()


def _class(name):
    return CLASSES[name].__name__


def test_names_in_snake_case():
    names = {"CBAM": "cbam", "SimAM": "simam", "NonLocal": "non_local"}
    names["GraphAttentionV2"] = "graph_attention_v2"
    names["MultiHeadAttentionPooling"] = "multi_head_attention_pooling"
    assert {name: snake_case(name) for name in names} == names


def test_earlier_names_are_valid_and_not_listed():
    assert set(ALIASES) & set(layers.list_attentions()) == set()
    assert type(layers.create_attention("gated_attention")) is (
        layers.GatedAttentionPooling
    )
    assert type(layers.create_attention("gated", layer="cbam")) is layers.GatedFusion
    assert layers.get_family("gated_attention") == "pooling"


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("GatedAttention", {"name": "pool", "units": 3, "normalizer": "sparsemax"}),
        (
            "Gated",
            {
                "name": "gate",
                "residual": True,
                "layer": {
                    "module": "attention_zoo.layers.vision.cbam",
                    "class_name": "CBAM",
                    "config": {"name": "cbam", "ratio": 2},
                    "registered_name": "attention_zoo>CBAM",
                },
            },
        ),
    ],
)
def test_layers_saved_under_an_earlier_name_open(name, config):
    saved = {
        "module": "attention_zoo.layers.where_it_was",
        "class_name": name,
        "config": config,
        "registered_name": f"attention_zoo>{name}",
    }
    layer = keras.saving.deserialize_keras_object(saved)
    assert type(layer).__name__ == RENAMED[name]
    assert layer.name == config["name"]
    whole = keras.saving.serialize_keras_object(layer)
    assert whole["registered_name"] == f"attention_zoo>{name}"


def test_a_layer_takes_its_name():
    for kind in ("cbam", "multi_head_attention"):
        config = {} if kind == "cbam" else {"num_heads": 2, "key_dim": 3}
        assert layers.create_attention(kind, name="x", **config).name == "x"


def test_an_unknown_family_is_refused():
    class Astray(layers.CBAM):
        family = "hybird"

    keras.saving.register_keras_serializable("attention_zoo_test")(Astray)
    with pytest.raises(ValueError, match="`Astray`.*did you mean 'hybrid'"):
        register_attentions([Astray])
    assert "astray" not in CLASSES


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
        ("cbam", {"ration": 8}, r"Expected some of .*'ratio'.*did you mean 'ratio'"),
        ("bahdanau_attention", {"normaliser": "softmax"}, "did you mean 'normalizer'"),
        (
            "gated_attention_pooling",
            {"score": "dot"},
            r"Expected some of \[.*Received: score='",
        ),
        ("linformer_attention", {"window": 3}, "Received: window=3"),
        ("serial", {"layers": ["cbam"], "merge": "sum"}, "Received: merge='sum'"),
        ("parallel", {"layers": ["cbam"], "merg": "sum"}, "did you mean 'merge'"),
        (
            "gated_fusion",
            {},
            r"lacks arguments. Expected \['layer'\] as well. Received",
        ),
        # What the class itself says of a known argument stands.
        ("cbam", {"kernel_size": 2}, "Expected an odd integer"),
        ("cbam", {"ratio": 2, "trainable": False, "data_format": "no"}, "'no'"),
    ],
)
def test_unknown_arguments(name, config, message):
    with pytest.raises(ValueError, match=message):
        layers.create_attention(name, **config)


def test_short_names_make_the_layers_that_papers_call_so():
    made = {name: type(layers.create_attention(name)) for name in ("se", "ca", "nl")}
    assert made == {
        "se": layers.SqueezeExcite,
        "ca": layers.CoordinateAttention,
        "nl": layers.NonLocal,
    }
    assert set(ALIASES.values()) <= set(CLASSES)
    heads = {n: layers.create_attention(n) for n in ("mha", "gqa", "mqa")}
    assert {n: x.num_kv_heads for n, x in heads.items()} == {
        "mha": None,
        "gqa": 2,
        "mqa": 1,
    }
    own = layers.create_attention("gqa", num_heads=6, num_kv_heads=3, name="x")
    assert (own.num_heads, own.num_kv_heads, own.name) == (6, 3, "x")
    assert layers.get_family("eca") == "channel"


@pytest.mark.parametrize(
    ("name", "near"), [("SE", "se"), ("gqua", "gqa"), ("scze", "scse")]
)
def test_short_names_are_suggested(name, near):
    with pytest.raises(ValueError, match=f"did you mean .*'{near}'"):
        layers.create_attention(name)


@pytest.mark.parametrize("name", layers.list_attentions())
def test_a_class_says_which_maps_it_takes(name):
    """A layer takes inputs of the ranks that it declares, and refuses the others."""
    if layers.get_family(name) in ("composite", "graph", "features"):  # other inputs
        declared = [d for d in (1, 2, 3) if name in layers.list_attentions(dims=d)]
        assert tuple(declared) == CLASSES[name].ranks
        return
    takes = []
    for dims in (1, 2, 3):
        layer = layers.create_attention(name)
        x = keras.KerasTensor((2, *(64, 16, 16)[3 - dims :], 32))
        if dims == 1:
            x = keras.KerasTensor((2, 64, 32))
        given = (x, x) if getattr(layer, "needs_value", False) else (x,)
        try:
            layer(*given)
        except ValueError as error:
            if "rank" not in str(error):
                raise
        else:
            takes.append(dims)
    assert takes == [d for d in (1, 2, 3) if name in layers.list_attentions(dims=d)]
    assert tuple(takes) == CLASSES[name].ranks


@pytest.mark.parametrize("dims", [0, 4, "2", None])
def test_other_dims_are_refused(dims):
    if dims is None:
        assert layers.list_attentions(dims=dims) == layers.list_attentions()
        return
    with pytest.raises(ValueError, match="`dims`.*Received: dims="):
        layers.list_attentions(dims=dims)
