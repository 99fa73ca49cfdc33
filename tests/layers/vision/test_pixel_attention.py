import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, sigmoid

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    gate = sigmoid(dense(x, weights, "conv"))
    return x * gate, gate


CASES = both_formats(
    "pixel_attention",
    layers.PixelAttention,
    {},
    formula,
    scores=(2, 7, 5, 11),
)


def test_the_gate_passes_through_its_sigmoid():
    """Popular copies build the sigmoid and never call it: the gate leaves (0, 1)."""
    layer = layers.PixelAttention()
    x = np.array([[[[5.0, -5.0]]]], "float32")
    layer(x)
    layer.set_weights([np.eye(2), np.zeros(2)])
    output, gate = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(gate).ravel(), sigmoid(x.ravel()), atol=1e-6)
    np.testing.assert_allclose(to_numpy(output), x * sigmoid(x), atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.PixelAttention()(np.zeros((2, 16)))
