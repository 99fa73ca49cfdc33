import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import sigmoid

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    axes = tuple(range(1, x.ndim - 1))
    squared = (x - x.mean(axis=axes, keepdims=True)) ** 2
    others = np.prod(x.shape[1:-1]) - 1
    variance = squared.sum(axis=axes, keepdims=True) / others
    gate = sigmoid(squared / (4 * (variance + 1e-2)) + 0.5)
    return x * gate, gate


CASES = [
    *both_formats(
        "simam",
        layers.SimAM,
        {"regularization": 1e-2},
        formula,
        scores=(2, 7, 5, 11),
    ),
    *both_formats(
        "simam-3d",
        layers.SimAM,
        {"regularization": 1e-2},
        formula,
        shape=(2, 3, 2, 5, 7),
        scores=(2, 3, 2, 5, 7),
    ),
]


def test_it_has_no_weights():
    layer = layers.SimAM()
    layer.build((None, None, None, 64))
    assert layer.weights == []


def test_errors():
    with pytest.raises(ValueError, match="a number above 0.*regularization=0"):
        layers.SimAM(regularization=0)
    with pytest.raises(ValueError, match="a number above 0.*regularization='small'"):
        layers.SimAM(regularization="small")
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.SimAM()(np.zeros((2, 16)))
