import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import batch_norm, convolve, relu, sigmoid

from attention_zoo import layers


def apply_gate(x, gate, extent):
    output = np.zeros(x.shape)
    for h in range(x.shape[1]):
        for w in range(x.shape[2]):
            output[:, h, w] = x[:, h, w] * gate[:, h // extent, w // extent]
    return output, gate


def learned(weights, inputs, masks):
    x = y = inputs["inputs"]
    for i in range(2):
        y = convolve(
            relu(y) if i else y, weights[f"gather_{i}/kernel"], 2, groups=x.shape[-1]
        )
        y = batch_norm(y, weights, f"norm_{i}")
    return apply_gate(x, sigmoid(y), 4)


def average(weights, inputs, masks):
    x, extent = inputs["inputs"], 3
    rows, columns = -(-x.shape[1] // extent), -(-x.shape[2] // extent)
    pooled = np.zeros((len(x), rows, columns, x.shape[-1]))
    for r in range(rows):
        for c in range(columns):
            top, left = max(0, r * extent - 2), max(0, c * extent - 2)
            window = x[:, top : r * extent + 3, left : c * extent + 3]
            pooled[:, r, c] = window.mean(axis=(1, 2))
    return apply_gate(x, sigmoid(pooled), extent)


CASES = [
    *both_formats(
        "gather_excite",
        layers.GatherExcite,
        {"extent": 4},
        learned,
        scores=(2, 2, 2, 11),
    ),
    *both_formats(
        "gather_excite-average",
        layers.GatherExcite,
        {"extent": 3, "use_kernel": False},
        average,
        scores=(2, 3, 2, 11),
    ),
]


def test_errors():
    with pytest.raises(ValueError, match="power of two.*extent=6"):
        layers.GatherExcite(extent=6)
    with pytest.raises(ValueError, match="power of two.*extent=1"):
        layers.GatherExcite(extent=1)
    with pytest.raises(ValueError, match="positive integer.*extent=0"):
        layers.GatherExcite(extent=0, use_kernel=False)
    with pytest.raises(ValueError, match="of rank 4"):
        layers.GatherExcite()(np.zeros((2, 5, 16)))
