import numpy as np
import pytest
from support.check_layer import shake, to_numpy
from support.image_cases import both_formats
from support.image_formulas import convolve, dense, relu, softmax

from attention_zoo import layers


def formula(num_kernels):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        z = x.mean(axis=tuple(range(1, x.ndim - 1)))
        logits = dense(relu(dense(z, weights, "reduce")), weights, "mix")
        attention = softmax(logits / weights["current_temperature"], axis=-1)
        kernels = np.stack([weights[f"kernel_{i}"] for i in range(num_kernels)])
        bias = weights.get("bias", np.zeros((num_kernels, kernels.shape[-1])))
        outputs = []
        for b in range(len(x)):
            kernel = np.tensordot(attention[b], kernels, axes=1)
            outputs.append(convolve(x[b : b + 1], kernel)[0] + attention[b] @ bias)
        return np.array(outputs), attention

    return compute


CASES = [
    *both_formats(
        "dynamic_conv",
        layers.DynamicConv,
        {"ratio": 1, "temperature": 3.0},
        formula(4),
        scores=(2, 4),
    ),
    *both_formats(
        "dynamic_conv-3d",
        layers.DynamicConv,
        {
            "filters": 5,
            "num_kernels": 3,
            "ratio": 1,
            "temperature": 1.0,
            "use_bias": False,
        },
        formula(3),
        shape=(2, 3, 2, 5, 7),
        scores=(2, 3),
    ),
]


def test_the_temperature_can_be_lowered():
    """Hot, all kernels weigh the same; cold, one takes all."""
    layer = layers.DynamicConv()
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 8)).astype("float32")
    layer(x)
    shake(layer)
    assert float(to_numpy(layer.current_temperature)) == 30.0
    layer.current_temperature.assign(1e6)
    weights = to_numpy(layer(x, return_attention_scores=True)[1])
    np.testing.assert_allclose(weights, 0.25, atol=1e-5)
    layer.current_temperature.assign(1e-6)
    weights = to_numpy(layer(x, return_attention_scores=True)[1])
    np.testing.assert_allclose(np.sort(weights, axis=-1), [[0, 0, 0, 1]] * 2, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="odd integer.*kernel_size=2"):
        layers.DynamicConv(kernel_size=2)
    with pytest.raises(ValueError, match="positive integer.*num_kernels=0"):
        layers.DynamicConv(num_kernels=0)
    with pytest.raises(ValueError, match="a number above 0.*temperature=0"):
        layers.DynamicConv(temperature=0)
    with pytest.raises(ValueError, match="too few channels for its ratio"):
        layers.DynamicConv(ratio=4)(np.zeros((2, 3, 3, 3)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.DynamicConv()(np.zeros((2, 16)))
