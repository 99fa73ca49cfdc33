"""Explanations of shuffled weights beside those of the model."""

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo.interpret.methods.ranks import rank_correlation
from attention_zoo.interpret.sanity import sanity_check, shuffled_weights

IDS = np.array([[2, 3, 5, 7, 11, 4, 6], [8, 2, 9, 3, 7, 0, 0]])


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return attention_zoo.create(
        "attention_lstm", vocabulary_size=13, embedding_dim=5, units=7
    )


def values(model):
    return [w.copy() for w in model.get_weights()]


@pytest.mark.parametrize("method", ["attention", "gradient_x_input"])
def test_correlation_with_what_shuffled_weights_say(model, method):
    before = values(model)
    learned = attention_zoo.explain(model, IDS, method=method)
    with shuffled_weights(model, seed=3):
        for kept, now in zip(before, values(model), strict=True):
            np.testing.assert_array_equal(np.sort(kept, None), np.sort(now, None))
        random = attention_zoo.explain(model, IDS, method=method)

    def scores(explanation, row):
        found = explanation.attributions
        found = explanation.weights_of() if found is None else found
        return np.abs(found[row][IDS[row] > 0])

    expected = [rank_correlation(scores(learned, b), scores(random, b)) for b in (0, 1)]
    found = sanity_check(model, IDS, method, seed=3)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (np.abs(found) < 0.99).all()


def test_the_model_is_as_it_was(model):
    before = values(model)
    sanity_check(model, IDS, "gradient")
    with pytest.raises(RuntimeError, match="stop"), shuffled_weights(model):
        raise RuntimeError("stop")
    for kept, now in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_errors(model):
    with pytest.raises(ValueError, match="the methods attention, "):
        sanity_check(model, IDS, "grad_cam")
