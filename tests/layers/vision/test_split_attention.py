import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import (
    batch_norm,
    convolve,
    dense,
    relu,
    sigmoid,
    softmax,
    spread,
)

from attention_zoo import layers


def formula(radix):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        y = convolve(x, weights["conv/kernel"], groups=radix)
        maps = np.split(relu(batch_norm(y, weights, "norm")), radix, axis=-1)
        z = sum(maps).mean(axis=tuple(range(1, x.ndim - 1)))
        z = relu(batch_norm(dense(z, weights, "reduce"), weights, "reduce_norm"))
        logits = np.split(dense(z, weights, "select"), radix, axis=-1)
        logits = np.stack(logits, axis=1)
        attention = softmax(logits, axis=1) if radix > 1 else sigmoid(logits)
        output = sum(spread(attention[:, i], x) * maps[i] for i in range(radix))
        return output, attention

    return compute


CASES = [
    *both_formats(
        "split_attention",
        layers.SplitAttention,
        {"filters": 11, "radix": 3, "min_width": 13},
        formula(3),
        shape=(2, 7, 5, 6),
        scores=(2, 3, 11),
    ),
    *both_formats(
        "split_attention-one",
        layers.SplitAttention,
        {"radix": 1, "kernel_size": 5, "min_width": 13},
        formula(1),
        shape=(2, 7, 11),
        scores=(2, 1, 11),
    ),
]


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*radix=0"):
        layers.SplitAttention(radix=0)
    with pytest.raises(ValueError, match="odd integer.*kernel_size=4"):
        layers.SplitAttention(kernel_size=4)
    with pytest.raises(ValueError, match="that 2 divides.*radix=2, channels=5"):
        layers.SplitAttention()(np.zeros((2, 3, 3, 5)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.SplitAttention()(np.zeros((2, 16)))
