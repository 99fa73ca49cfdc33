"""What every model of the zoo promises, for each name in `list_models()`.

A new model needs no line here: its tiny configuration and its inputs follow from the
names of its arguments and from the shapes of its inputs.
"""

import functools
import importlib
import inspect
import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import layers
from attention_zoo.registry import get_builder

# Sizes that differ and are prime, so that no swapped axis can pass.
SIZES = {
    "vocabulary_size": 23,
    "num_classes": 3,
    "embedding_dim": 5,
    "units": 7,
    "dropout": 0.1,
    "embedding_dropout": 0.1,
    "lookback": 12,
    "horizon": 5,
    "num_variates": 3,
    "patch_length": 4,
    "stride": 2,
    "num_layers": 2,
    "num_heads": 2,
    "width": 6,
    "segment_length": 3,
    "step_length": 2,
    "trend_length": 5,
    "source_vocabulary_size": 23,
    "target_vocabulary_size": 19,
    "intermediate_dim": 13,
    "input_shape": (6, 10, 3),
    "patch_size": 2,
    "depth": 8,
    "num_stages": 2,
}
LENGTH = 11
IMAGE_WIDTH = 16  # CBAM's gates take no fewer channels
# Weights that look at earlier queries, of which these models' one query has none.
UNUSED = {"coverage_kernel"}


def attention_kinds(name):
    """The values of a model's `attention` argument: every fitting name, and None.

    The model's file says which fit: `ATTENTIONS`, names, or `FAMILIES`.
    """
    builder = get_builder(name)
    if "attention" not in inspect.signature(builder).parameters:
        return ["-"]
    module = importlib.import_module(builder.__module__)
    if kind_of(name) == "translation":  # the tests of its decoder try them all
        return [None, "bahdanau_attention"]
    if kind_of(name) == "images" and hasattr(module, "FAMILIES"):  # theirs try them all
        return [None, "cbam" if "hybrid" in module.FAMILIES else "selective_kernel"]
    if hasattr(module, "ATTENTIONS"):
        return [None, *module.ATTENTIONS]
    families = sorted(module.FAMILIES)
    return [None, *(n for f in families for n in layers.list_attentions(family=f))]


def variants(kind=None):
    """`(model, attention)` for every model and every attention that it can have.

    Args:
        kind: A kind of input, to leave out models of others.
    """
    return [
        pytest.param(name, attention, id=f"{name}-{attention}")
        for name in attention_zoo.list_models()
        if kind in (None, kind_of(name))
        for attention in attention_kinds(name)
    ]


def kind_of(name):
    """The kind of input that a model takes, by its arguments."""
    parameters = inspect.signature(get_builder(name)).parameters
    if "source_vocabulary_size" in parameters:
        return "translation"
    if "input_shape" in parameters:
        return "images"
    return "series" if "lookback" in parameters else "text"


def create_small(name, attention="-"):
    keras.utils.set_random_seed(13)
    parameters = inspect.signature(get_builder(name)).parameters
    config = {key: size for key, size in SIZES.items() if key in parameters}
    if kind_of(name) == "images":
        config["width"] = IMAGE_WIDTH
    if kind_of(name) == "translation" and "width" in config:
        config["width"] = 8  # rotary positions turn pairs
    if attention != "-":
        config["attention"] = attention
    return attention_zoo.create(name, **config)


@functools.cache
def small(name, attention="-"):
    """A model that tests share: it is called, never trained."""
    return create_small(name, attention)


def make_inputs(model, rows=4):
    """Inputs for the model, each row special in its own way."""
    rng = np.random.default_rng(17)
    if len(model.inputs[0].shape) == 3:  # series, one of them without any change
        inputs = rng.normal(10, 3, (rows, *model.inputs[0].shape[1:]))
        inputs[1] = 7
        return inputs.astype("float32")
    if len(model.inputs[0].shape) == 4:  # images, one of them black
        inputs = rng.integers(0, 256, (rows, *model.inputs[0].shape[1:]))
        inputs[1] = 0
        return inputs.astype("uint8")
    # Token ids: full, padded, one word, and nothing but padding.
    ids = rng.integers(1, 23, (rows, LENGTH)).astype("int32")
    for row, words in zip(ids, (LENGTH, 5, 1, 0), strict=True):
        row[words:] = 0
    if len(model.inputs) == 2:  # the second are the targets of a translation
        return [ids, np.minimum(ids[:, :7], 18)]
    return ids


def make_targets(model, rows=4):
    """Classes, or numbers of the output's shape."""
    shape = model.outputs[0].shape
    if len(shape) == 2:
        return np.arange(rows) % shape[-1]
    if None in shape[1:]:
        shape = (rows, 7, shape[-1])
    return np.random.default_rng(19).normal(size=(rows, *shape[1:]))


def predict(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False))


every_variant = pytest.mark.parametrize(("name", "attention"), variants())
every_text_variant = pytest.mark.parametrize(("name", "attention"), variants("text"))
every_series_variant = pytest.mark.parametrize(
    ("name", "attention"), variants("series")
)


@every_variant
def test_forward(name, attention):
    model = small(name, attention)
    output = predict(model, make_inputs(model))
    expected = {
        "text": (4, 3),
        "images": (4, 3),
        "series": (4, 5, 3),
        "translation": (4, 7, 19),
    }[kind_of(name)]
    assert output.shape == expected
    assert output.dtype == np.float32
    assert np.isfinite(output).all()
    if len(expected) == 2:
        np.testing.assert_allclose(output.sum(axis=-1), 1, atol=1e-6)
    assert not model.compiled
    assert isinstance(model, keras.Model)


@every_text_variant
def test_padding_changes_nothing(name, attention):
    model = small(name, attention)
    inputs = make_inputs(model)
    longer = np.pad(inputs, ((0, 0), (0, 6)))
    np.testing.assert_allclose(
        predict(model, inputs), predict(model, longer), rtol=0, atol=1e-5
    )
    alone = inputs[1:2, :5]  # the padded row without its padding
    np.testing.assert_allclose(
        predict(model, inputs)[1:2], predict(model, alone), rtol=0, atol=1e-5
    )


@every_variant
def test_every_weight_gets_a_gradient(name, attention):
    model = create_small(name, attention)
    # With steps this large even a tiny gradient moves a weight visibly.
    targets = make_targets(model)
    loss = "sparse_categorical_crossentropy" if targets.ndim == 1 else "mse"
    model.compile(keras.optimizers.SGD(1e5), loss)
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_variables]
    loss = model.train_on_batch(make_inputs(model), targets)
    assert np.isfinite(loss)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        new = keras.ops.convert_to_numpy(variable)
        assert np.isfinite(new).all(), variable.path
        used = variable.name not in UNUSED
        assert (new != old).any() == used, f"{variable.path} got no gradient"


@every_variant
def test_weights_have_stable_paths(name, attention):
    paths = [w.path for w in small(name, attention).weights]
    assert paths == [w.path for w in create_small(name, attention).weights]
    assert len(set(paths)) == len(paths)


@every_text_variant
def test_attention_is_recorded(name, attention):
    model = small(name, attention)
    inputs = make_inputs(model)
    explanation = attention_zoo.explain(model, inputs)
    weights = explanation.weights_of()
    assert weights.shape == inputs.shape
    assert (weights[inputs == 0] == 0).all()
    assert np.isfinite(weights).all()
    # Less than 1 where a kind leaves weight unspent: local, monotonic, a sentinel.
    assert (np.abs(weights.sum(axis=-1)) < 1 + 1e-5).all()
    np.testing.assert_allclose(
        explanation.predictions, predict(model, inputs), rtol=1e-5, atol=1e-6
    )


@every_series_variant
def test_attention_over_a_series_is_recorded(name, attention):
    model = small(name, attention)
    inputs = make_inputs(model)
    if attention is None:
        with pytest.raises(ValueError, match="`explain` needs an attention layer"):
            attention_zoo.explain(model, inputs, method="attention")
        return
    explanation = attention_zoo.explain(model, inputs)
    for layer_name, weights in explanation.weights.items():
        kind = explanation.kind_of(layer_name)
        assert kind in ("lags", "variates", "features")
        assert weights.shape[:2] == (4, 3)
        assert np.isfinite(weights).all()
        assert (weights >= 0).all()
        if kind != "features":
            assert weights.shape[2] == {"lags": 12, "variates": 3}[kind]
            np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(
        explanation.predictions, predict(model, inputs), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", attention_zoo.list_models())
def test_mixed_precision_returns_float32(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = create_small(name)
        output = predict(model, make_inputs(model))
    finally:
        keras.config.set_dtype_policy(before)
    assert output.dtype == np.float32
    assert np.isfinite(output).all()


def test_saved_models_answer_alike_in_a_fresh_process(root, tmp_path):
    for variant in variants():
        model = small(*variant.values)
        inputs = make_inputs(model)
        path = tmp_path / f"{variant.id}.keras"
        model.save(path)
        fed = inputs if isinstance(inputs, list) else [inputs]
        names = [given.name for given in model.inputs]
        np.savez(path.with_suffix(".npz"), **dict(zip(names, fed, strict=True)))
        np.save(path.with_suffix(".npy"), predict(model, inputs))
    opened = subprocess.run(
        [sys.executable, root / "tests" / "support" / "open_models.py", tmp_path],
        capture_output=True,
        text=True,
    )
    assert opened.returncode == 0, opened.stderr
    distances = json.loads(opened.stdout.splitlines()[-1])["distances"]
    assert sorted(distances) == sorted(variant.id for variant in variants())
    assert max(distances.values()) < 1e-6, distances
