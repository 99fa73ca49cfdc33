import numpy as np
import pytest
from support.check_layer import named_weights, to_numpy
from support.image_cases import both_formats
from support.image_formulas import convolution, dense, sigmoid, softmax

from attention_zoo import layers


def multi_scale(groups, convolve=convolution):
    """Ouyang et al. 2023, section 3.2, group by group."""

    def formula(weights, inputs, masks):
        x = inputs["inputs"]
        axes = tuple(range(1, x.ndim - 1))
        gates = []
        for part in np.split(x, groups, axis=-1):
            gate = 1.0
            for axis in axes:
                others = tuple(a for a in axes if a != axis)
                line = part.mean(axis=others, keepdims=True) if others else part
                gate = gate * sigmoid(dense(line, weights, "profile"))
            fine = part * gate
            mean = fine.mean(axis=axes, keepdims=True)
            fine = (fine - mean) / np.sqrt(fine.var(axis=axes, keepdims=True) + 1e-5)
            fine = fine * weights["scale"] + weights["offset"]
            coarse = convolve(part, weights, "local")
            scores = 0
            for pooled, other in ((fine, coarse), (coarse, fine)):
                share = softmax(pooled.mean(axis=axes, keepdims=True), axis=-1)
                scores = scores + (share * other).sum(axis=-1, keepdims=True)
            gates.append(np.repeat(sigmoid(scores), part.shape[-1], axis=-1))
        gate = np.concatenate(gates, axis=-1)
        return x * gate, gate

    return formula


CASES = both_formats(
    "efficient_multi_scale_attention",
    layers.EfficientMultiScaleAttention,
    {"groups": 2},
    multi_scale(2),
    shape=(2, 7, 5, 6),
    scores=(2, 7, 5, 6),
)


def by_hand(x, weights, name):
    """A convolution of width 3 along a sequence."""
    kernel, padded = weights[f"{name}/kernel"], np.pad(x, ((0, 0), (1, 1), (0, 0)))
    taps = [padded[:, i : i + x.shape[1]] @ kernel[i] for i in range(3)]
    return sum(taps) + weights[f"{name}/bias"]


def test_sequences():
    layer = layers.EfficientMultiScaleAttention(groups=3, name="layer")
    x = np.random.default_rng(0).normal(size=(2, 7, 6)).astype("float32")
    output = to_numpy(layer(x))
    expected, _ = multi_scale(3, by_hand)(named_weights(layer), {"inputs": x}, {})
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="that 8 divides. Received: groups=8"):
        layers.EfficientMultiScaleAttention()(np.zeros((2, 7, 5, 12)))
    with pytest.raises(ValueError, match="Received: epsilon=0"):
        layers.EfficientMultiScaleAttention(epsilon=0)
