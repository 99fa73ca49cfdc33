"""What every model of the zoo promises, for each name in `list_models()`.

A new model needs no line here: its tiny configuration and its inputs follow from the
names of its arguments and from the shapes of its inputs.
"""

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
}
LENGTH = 11
# Weights that look at earlier queries, of which these models' one query has none.
UNUSED = {"coverage_kernel"}


def attention_kinds():
    """The values of a model's `attention` argument: every fitting name, and None."""
    families = ("pooling", "self", "sequence")
    return [None, *(n for f in families for n in layers.list_attentions(family=f))]


def variants():
    """`(model, attention)` for every model and every attention that it can have."""
    found = []
    for name in attention_zoo.list_models():
        takes = "attention" in inspect.signature(get_builder(name)).parameters
        for attention in attention_kinds() if takes else ["-"]:
            found.append(pytest.param(name, attention, id=f"{name}-{attention}"))
    return found


def create_small(name, attention="-"):
    keras.utils.set_random_seed(13)
    parameters = inspect.signature(get_builder(name)).parameters
    config = {key: size for key, size in SIZES.items() if key in parameters}
    if attention != "-":
        config["attention"] = attention
    return attention_zoo.create(name, **config)


def make_inputs(model, rows=4):
    """Token ids: full, padded, one word, and nothing but padding."""
    ids = np.random.default_rng(17).integers(1, 23, (rows, LENGTH)).astype("int32")
    for row, words in zip(ids, (LENGTH, 5, 1, 0), strict=True):
        row[words:] = 0
    return ids


def predict(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False))


every_variant = pytest.mark.parametrize(("name", "attention"), variants())


@every_variant
def test_forward(name, attention):
    model = create_small(name, attention)
    output = predict(model, make_inputs(model))
    assert output.shape == (4, 3)
    assert output.dtype == np.float32
    assert np.isfinite(output).all()
    np.testing.assert_allclose(output.sum(axis=-1), 1, atol=1e-6)
    assert not model.compiled
    assert isinstance(model, keras.Model)


@every_variant
def test_padding_changes_nothing(name, attention):
    model = create_small(name, attention)
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
    model.compile(keras.optimizers.SGD(1e3), "sparse_categorical_crossentropy")
    before = [keras.ops.convert_to_numpy(w) for w in model.trainable_variables]
    loss = model.train_on_batch(make_inputs(model), np.array([0, 1, 2, 0]))
    assert np.isfinite(loss)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        new = keras.ops.convert_to_numpy(variable)
        assert np.isfinite(new).all(), variable.path
        used = variable.name not in UNUSED
        assert (new != old).any() == used, f"{variable.path} got no gradient"


@every_variant
def test_weights_have_stable_paths(name, attention):
    first, second = (create_small(name, attention) for _ in range(2))
    paths = [w.path for w in first.weights]
    assert paths == [w.path for w in second.weights]
    assert len(set(paths)) == len(paths)


@every_variant
def test_attention_is_recorded(name, attention):
    model = create_small(name, attention)
    inputs = make_inputs(model)
    explanation = attention_zoo.explain(model, inputs)
    weights = explanation.weights_of()
    assert weights.shape == inputs.shape
    assert (weights[inputs == 0] == 0).all()
    assert np.isfinite(weights).all()
    # Less than 1 where a kind leaves weight unspent: local, monotonic, a sentinel.
    assert (np.abs(weights.sum(axis=-1)) < 1 + 1e-5).all()
    np.testing.assert_allclose(
        explanation.predictions, predict(model, inputs), atol=1e-6
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
        model = create_small(*variant.values)
        inputs = make_inputs(model)
        path = tmp_path / f"{variant.id}.keras"
        model.save(path)
        np.savez(path.with_suffix(".npz"), **{model.inputs[0].name: inputs})
        np.save(path.with_suffix(".npy"), predict(model, inputs))
    opened = subprocess.run(
        [sys.executable, root / "tests" / "open_models.py", tmp_path],
        capture_output=True,
        text=True,
    )
    assert opened.returncode == 0, opened.stderr
    distances = json.loads(opened.stdout.splitlines()[-1])["distances"]
    assert sorted(distances) == sorted(variant.id for variant in variants())
    assert max(distances.values()) < 1e-6, distances
