import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, layer_norm, positions, relu, softmax, spread

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    flat = positions(x)
    attention = softmax(dense(flat, weights, "logits")[..., 0], axis=1)
    context = np.einsum("bn,bnc->bc", attention, flat)
    hidden = relu(layer_norm(dense(context, weights, "reduce"), weights, "norm"))
    output = x + spread(dense(hidden, weights, "expand"), x)
    return output, attention.reshape(x.shape[:-1])


CASES = [
    *both_formats(
        "global_context",
        layers.GlobalContext,
        {"ratio": 3},
        formula,
        scores=(2, 7, 5),
    ),
    *both_formats(
        "global_context-1d",
        layers.GlobalContext,
        {"ratio": 2},
        formula,
        shape=(2, 7, 11),
        scores=(2, 7),
    ),
]


def test_the_weights_of_a_map_sum_to_one():
    x = np.random.default_rng(0).normal(size=(3, 5, 7, 16)).astype("float32")
    _, weights = layers.GlobalContext()(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(weights).sum(axis=(1, 2)), 1, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="`GlobalContext` has too few channels"):
        layers.GlobalContext(ratio=16)(np.zeros((2, 3, 3, 15)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.GlobalContext()(np.zeros((2, 16)))
