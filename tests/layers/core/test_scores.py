import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import named_weights, shake, to_numpy

from attention_zoo import layers
from attention_zoo.layers.core.scores import SCORES, get_score

RNG = np.random.default_rng(0)
QUERY = RNG.normal(size=(2, 11, 5)).astype("float32")
KEY = RNG.normal(size=(2, 7, 13)).astype("float32")

WEIGHTS = {
    "dot": {},
    "scaled_dot": {},
    "cosine": {"scale": ()},
    "general": {"kernel": (5, 13)},
    "concat": {"kernel": (18, 17), "scale": (17,)},
    "additive": {
        "query_kernel": (5, 17),
        "key_kernel": (13, 17),
        "bias": (17,),
        "scale": (17,),
    },
    "location": {"kernel": (5, 7), "bias": (7,)},
}


@pytest.mark.parametrize("name", SCORES)
def test_formula_and_weights_by_name(name):
    key = KEY[..., :5] if name in ("dot", "scaled_dot", "cosine") else KEY
    score = get_score(name, units=17 if name in ("concat", "additive") else None)
    score(QUERY, key)
    shake(score)
    weights = named_weights(score)
    assert {n: w.shape for n, w in weights.items()} == WEIGHTS[name]
    expected = formulas.score(name, weights, QUERY.astype("float64"), key)
    np.testing.assert_allclose(to_numpy(score(QUERY, key)), expected, atol=1e-5)


@pytest.mark.parametrize("name", SCORES)
def test_heads_in_front_change_nothing(name):
    query = RNG.normal(size=(2, 3, 11, 5)).astype("float32")
    key = RNG.normal(size=(2, 3, 7, 5)).astype("float32")
    score = get_score(name)
    whole = to_numpy(score(query, key))
    assert whole.shape == (2, 3, 11, 7)
    for head in range(3):
        np.testing.assert_allclose(
            to_numpy(score(query[:, head], key[:, head])), whole[:, head], atol=1e-5
        )


def test_cosine_starts_as_the_cosine_and_takes_a_zero_vector():
    query = np.array([[[3.0, 4.0], [0.0, 0.0]]], "float32")
    key = np.array([[[6.0, 8.0], [-3.0, -4.0], [4.0, -3.0]]], "float32")
    got = to_numpy(layers.CosineScore()(query, key))
    np.testing.assert_allclose(got, [[[1, -1, 0], [0, 0, 0]]], atol=1e-6)


def test_additive_without_query_looks_at_the_key_alone():
    score = layers.AdditiveScore(units=17, use_query=False)
    first = to_numpy(score(QUERY, KEY))
    np.testing.assert_allclose(to_numpy(score(QUERY + 9, KEY)), first, atol=1e-6)
    assert "query_kernel" not in named_weights(score)


def test_location_serves_shorter_keys_and_refuses_longer_ones():
    score = layers.LocationScore(max_length=7)
    whole = to_numpy(score(QUERY, KEY))
    np.testing.assert_allclose(
        to_numpy(score(QUERY, KEY[:, :3])), whole[..., :3], atol=1e-6
    )
    longer = np.zeros((2, 8, 13), "float32")
    with pytest.raises(ValueError, match="at most `max_length` positions"):
        score(QUERY, longer)
    with pytest.raises(ValueError, match="expects `max_length`"):
        layers.LocationScore()(keras.Input((None, 5)), keras.Input((None, 5)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: get_score("scaled-dot"), "scaled-dot.*did you mean 'scaled_dot'"),
        (lambda: get_score("additive", units=0), "positive integer. Received: units=0"),
        (lambda: get_score("concat", units=-3), "Received: units=-3"),
        (lambda: get_score("dot", units=3), "'concat' or 'additive' only"),
        (lambda: layers.DotScore()(QUERY, KEY), "one width"),
        (lambda: layers.CosineScore()(QUERY, KEY), "one width"),
        (lambda: layers.LocationScore(max_length=0), "Received: max_length=0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
