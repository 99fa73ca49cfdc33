import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import sigmoid

from attention_zoo import layers


def formula(groups):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        axes, channels = tuple(range(1, x.ndim - 1)), x.shape[-1]
        width = channels // (2 * groups)
        gate = np.zeros(x.shape)
        for c in range(channels):
            half, d = divmod(c % (2 * width), width)
            if half == 0:
                y = x[..., c].mean(axis=axes, keepdims=True)
                y = weights["channel_scale"][d] * y + weights["channel_bias"][d]
            else:
                centred = x[..., c] - x[..., c].mean(axis=axes, keepdims=True)
                y = centred / np.sqrt(
                    (centred**2).mean(axis=axes, keepdims=True) + 1e-5
                )
                y = weights["gamma"][d] * y + weights["beta"][d]
                y = weights["spatial_scale"][d] * y + weights["spatial_bias"][d]
            gate[..., c] = sigmoid(y)
        output = np.zeros(x.shape)
        for c in range(channels):  # of (2, C / 2) the transpose
            half, place = divmod(c, channels // 2)
            output[..., 2 * place + half] = x[..., c] * gate[..., c]
        return output, gate

    return compute


CASES = [
    *both_formats(
        "shuffle_attention",
        layers.ShuffleAttention,
        {"groups": 3},
        formula(3),
        shape=(2, 7, 5, 12),
        scores=(2, 7, 5, 12),
    ),
    *both_formats(
        "shuffle_attention-1d",
        layers.ShuffleAttention,
        {"groups": 2},
        formula(2),
        shape=(2, 7, 20),
        scores=(2, 7, 20),
    ),
]


def test_it_starts_with_gates_of_one_value():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 16)).astype("float32")
    _, gate = layers.ShuffleAttention()(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(gate), sigmoid(1.0), atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*groups=0"):
        layers.ShuffleAttention(groups=0)
    with pytest.raises(ValueError, match=r"that 2 \* `groups` divides.*channels=12"):
        layers.ShuffleAttention(groups=8)(np.zeros((2, 3, 3, 12)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.ShuffleAttention()(np.zeros((2, 16)))
