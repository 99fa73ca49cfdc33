"""A model up to its head, and with a fresh one."""

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo.heads import replace_head

array = keras.ops.convert_to_numpy
IDS = np.array([[2, 3, 5, 7], [10, 1, 0, 0]])


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return attention_zoo.create("attention_lstm", vocabulary_size=11, units=3)


def served(core):
    """Returns a model with the core as its last, nested layer, as loaded ones have."""
    given = keras.Input((None,), dtype="int32")
    return keras.Model(given, core(keras.ops.pad(given, ((0, 0), (0, 1)))))


@pytest.mark.parametrize("nested", [False, True])
def test_features_and_head_give_the_model(model, nested):
    whole = served(model) if nested else model
    states = attention_zoo.features(whole)(IDS)
    assert states.shape == (2, 6)
    head = model.get_layer("head")
    np.testing.assert_allclose(array(head(states)), array(whole(IDS)), atol=1e-6)


@pytest.mark.parametrize("nested", [False, True])
def test_a_fresh_head_on_the_same_layers(model, nested):
    whole = served(model) if nested else model
    other = replace_head(whole, 5)
    assert other(IDS).shape == (2, 5)
    np.testing.assert_allclose(array(other(IDS)).sum(axis=-1), 1, atol=1e-6)
    states, kept = (array(attention_zoo.features(m)(IDS)) for m in (other, whole))
    np.testing.assert_allclose(states, kept, atol=1e-6)


def test_what_has_no_head(model):
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="last")])
    with pytest.raises(ValueError, match="layer called 'head'.*'last'"):
        attention_zoo.features(plain)
    with pytest.raises(ValueError, match="num_classes=1"):
        replace_head(model, 1)
    head = keras.layers.Dense(3, name="head")
    more = keras.Sequential([keras.Input((2,)), head, keras.layers.ReLU(name="cut")])
    with pytest.raises(ValueError, match="which ends with 'cut'"):
        replace_head(more, 3)
    assert attention_zoo.features(more)(np.ones((1, 2))).shape == (1, 2)
