import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import dense, positions, softmax

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    flat = positions(x)
    features = dense(flat, weights, "features")
    gather = softmax(dense(flat, weights, "gather"), axis=1)
    distribute = softmax(dense(flat, weights, "distribute"), axis=2)
    descriptors = np.einsum("bnk,bnd->bkd", gather, features)
    result = np.einsum("bnk,bkd->bnd", distribute, descriptors)
    maps = np.moveaxis(gather, 1, -1)
    maps = maps.reshape(len(x), -1, *x.shape[1:-1])
    return x + dense(result, weights, "output").reshape(x.shape), maps


CASES = [
    *both_formats(
        "double_attention",
        layers.DoubleAttention,
        {},
        formula,
        scores=(2, 3, 7, 5),
    ),
    *both_formats(
        "double_attention-3d",
        layers.DoubleAttention,
        {"ratio": 2},
        formula,
        shape=(2, 3, 2, 5, 13),
        scores=(2, 7, 3, 2, 5),
    ),
]


def test_errors():
    with pytest.raises(ValueError, match="`DoubleAttention` has too few channels"):
        layers.DoubleAttention(ratio=4)(np.zeros((2, 3, 3, 3)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.DoubleAttention()(np.zeros((2, 16)))
