import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import convolve, sigmoid

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    described = np.stack([x.mean(axis=-1), x.max(axis=-1)], axis=-1)
    gate = sigmoid(convolve(described, weights["conv/kernel"]))
    return x * gate, gate[..., 0]


CASES = [
    *both_formats(
        "spatial_attention",
        layers.SpatialAttention,
        {"kernel_size": 7},
        formula,
        scores=(2, 7, 5),
    ),
    *both_formats(
        "spatial_attention-1d",
        layers.SpatialAttention,
        {"kernel_size": 3},
        formula,
        shape=(2, 7, 11),
        scores=(2, 7),
    ),
    *both_formats(
        "spatial_attention-3d",
        layers.SpatialAttention,
        {"kernel_size": 3},
        formula,
        shape=(2, 3, 7, 5, 11),
        scores=(2, 3, 7, 5),
    ),
]


def test_the_second_map_is_the_maximum():
    """Popular copies average twice: then channels of mean 0 say nothing."""
    layer = layers.SpatialAttention(kernel_size=1)
    x = np.array([[[[-2.0, 2.0], [0.0, 0.0]]]], "float32")
    layer(x)
    layer.set_weights([np.array([0.0, 1.0]).reshape(1, 1, 2, 1)])
    _, gate = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(gate), [[[sigmoid(2.0), 0.5]]], atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="odd integer.*kernel_size=4"):
        layers.SpatialAttention(kernel_size=4)
    with pytest.raises(ValueError, match="positive integer.*kernel_size=-1"):
        layers.SpatialAttention(kernel_size=-1)
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.SpatialAttention()(np.zeros((2, 16)))
