import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, to_numpy

from attention_zoo.layers import BahdanauAttention


def bahdanau(weights, inputs, masks):
    """e_ij = v' tanh(W1 q_i + W2 k_j + b), Bahdanau et al. 2014, section 3.1."""
    q, v, w = inputs["query"], inputs["value"], formulas.bare(weights)
    e = np.zeros((2, 11, 7))
    for b, i, j in np.ndindex(e.shape):
        hidden = q[b, i] @ w["query_kernel"] + v[b, j] @ w["key_kernel"] + w["bias"]
        e[b, i, j] = w["scale"] @ np.tanh(hidden)
    alpha = formulas.softmax(e, formulas.visible(masks, 2, 11, 7))
    return alpha @ v, alpha


CASES = [
    Case(
        name="bahdanau_attention",
        cls=BahdanauAttention,
        config={"units": 13},
        inputs={"query": (2, 11, 3), "value": (2, 7, 5)},
        formula=bahdanau,
        masks=("query_mask", "value_mask"),
        scores=(2, 11, 7),
    )
]


def test_config_holds_the_constructor_arguments_alone():
    config = BahdanauAttention(13, normalizer="sparsemax", window=3).get_config()
    assert "score" not in config
    assert {k: config[k] for k in ("units", "normalizer", "window")} == {
        "units": 13,
        "normalizer": "sparsemax",
        "window": 3,
    }


@pytest.mark.parametrize("units", [0, -1, 2.5, None, True])
def test_units_must_be_a_positive_integer(units):
    with pytest.raises(ValueError, match=f"positive integer. Received: units={units}"):
        BahdanauAttention(units)


def test_last_padded_step_does_not_choose_the_query():
    """A query taken from the last step of a padded row would change with padding."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(1, 5, 3)).astype("float32")
    padded = np.concatenate([states, np.full((1, 2, 3), 9, "float32")], axis=1)
    mask = np.array([[True] * 5 + [False] * 2])
    layer = BahdanauAttention(7)
    query = states[:, -1:]
    expected = to_numpy(layer(query, states))
    got = to_numpy(layer(query, padded, value_mask=mask))
    np.testing.assert_allclose(got, expected, atol=1e-6)
