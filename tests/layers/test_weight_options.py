"""Regularizers, initializers and constraints reach the weights of every layer."""

import keras
import numpy as np
import pytest
from support.check_layer import symbolic, to_numpy
from support.layer_cases import all_cases

from attention_zoo import layers
from attention_zoo.layers.core.weight_options import WeightOptions

CASES = {case.cls: case for case in reversed(all_cases())}
TAKING = [c for c in CASES if issubclass(c, WeightOptions) and c.weight_arguments]
NONE = [c for c in CASES if issubclass(c, WeightOptions) and not c.weight_arguments]
# Of scores, normalizers, normalizations and the cell that is given.
OTHERS = (
    "gamma",
    "beta",
    "scale",
    "gain",
    "offset",
    "lambdas",
    "routers",
    "cell_0",
    "vector",
    "latents",
    "gru",
    "inducing",
)
GIVEN = {
    "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.5}},
    "bias_regularizer": "l1",
    "kernel_constraint": "unit_norm",
    "bias_constraint": "non_neg",
}


def given(weight):
    """Whether a weight is that of a recurrent cell, which keeps its own."""
    return "cell_0" in weight.path or "gru" in weight.path


def built(cls, **given):
    layer = CASES[cls].make(**given)
    layer(**symbolic(CASES[cls].draw()), **CASES[cls].call)
    return layer


@pytest.mark.parametrize("cls", TAKING, ids=lambda cls: cls.__name__)
def test_every_kernel_and_bias_takes_what_is_given(cls):
    layer = built(cls, **GIVEN)
    count = 0
    for w in layer.trainable_weights:
        kernel = w.regularizer is not None and isinstance(
            w.regularizer, keras.regularizers.L2
        )
        if w.regularizer is None:
            assert any(part in w.path for part in OTHERS), w.path
            assert w.constraint is None, w.path
            continue
        kinds = keras.constraints.UnitNorm, keras.constraints.NonNeg
        assert isinstance(w.constraint, kinds[0] if kernel else kinds[1]), w.path
        assert kernel == ("bias" not in w.path.split("/")[-1]), w.path
        count += 1
    assert count or not layer.trainable_weights
    assert len(layer.losses) - len(built(cls).losses) == count
    config = layer.get_config()
    again = cls.from_config(config)
    assert again.get_config() == config
    assert set(GIVEN) <= set(config)
    plain = CASES[cls].make().get_config()
    assert not set(GIVEN) & set(plain), "configs of plain layers have no more entries"


@pytest.mark.parametrize("cls", TAKING, ids=lambda cls: cls.__name__)
def test_initializers_are_taken_where_a_layer_has_no_choice_of_its_own(cls):
    options = {
        "kernel_initializer": keras.initializers.RandomUniform(3.0, 4.0),
        "bias_initializer": keras.initializers.Constant(5.0),
    }
    layer = built(cls, **options)
    for w in layer.trainable_weights:
        name, value = w.path.split("/")[-1], to_numpy(w)
        if name in ("kernel", "query_kernel", "key_kernel") and not given(w):
            assert (value >= 3).all() or "talking" in w.path or "factors" in w.path, (
                w.path
            )
        if name == "bias" and not given(w) and "decay" not in w.path:
            assert (value == 5).all(), w.path
    kernels = [to_numpy(w) for w in layer.trainable_weights if w.name == "kernel"]
    for a, b in zip(kernels, kernels[1:], strict=False):
        assert a.shape != b.shape or abs(a - b).max() > 0, "drawn apart"


@pytest.mark.parametrize("cls", NONE, ids=lambda cls: cls.__name__)
def test_a_layer_without_weights_refuses_them(cls):
    with pytest.raises(ValueError, match="Unknown arguments.*kernel_regularizer="):
        CASES[cls].make(kernel_regularizer="l2")


def test_a_regularizer_lost_by_no_file_and_a_constraint_that_holds(tmp_path):
    layer = layers.AttentionPooling(
        units=3,
        kernel_regularizer=keras.regularizers.L2(0.3),
        kernel_constraint="non_neg",
    )
    inputs = keras.Input((7, 5))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        total = sum(
            float((to_numpy(w) ** 2).sum())
            for w in each.trainable_weights
            if "bias" not in w.name
        )
        np.testing.assert_allclose(
            sum(float(to_numpy(x)) for x in each.losses), 0.3 * total, rtol=1e-5
        )
    x = np.random.default_rng(0).normal(size=(4, 7, 5)).astype("float32")
    loaded.compile("sgd", "mse")
    loaded.fit(x, -np.ones((4, 5)), verbose=0)
    kernels = [to_numpy(w) for w in loaded.trainable_weights if w.constraint]
    assert kernels
    assert all((w >= 0).all() for w in kernels)


def test_wrong_ones_are_refused():
    with pytest.raises(ValueError, match="l5"):
        layers.AttentionPooling(kernel_regularizer="l5")
    with pytest.raises(ValueError, match="did you mean 'kernel_regularizer'"):
        layers.AttentionPooling(kernel_regulariser="l2")
