import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import batch_norm, dense, sigmoid

from attention_zoo import layers


def h_swish(x):
    return x * np.clip(x + 3, 0, 6) / 6


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    batch, height, width, channels = x.shape
    gate = np.ones(x.shape)
    for h in range(height):
        y = dense(x[:, h].mean(axis=1), weights, "reduce")
        y = h_swish(batch_norm(y, weights, "norm"))
        gate[:, h] *= sigmoid(dense(y, weights, "expand_0"))[:, None]
    for w in range(width):
        y = dense(x[:, :, w].mean(axis=1), weights, "reduce")
        y = h_swish(batch_norm(y, weights, "norm"))
        gate[:, :, w] *= sigmoid(dense(y, weights, "expand_1"))[:, None]
    return x * gate, gate


def one_axis(weights, inputs, masks):
    x = inputs["inputs"]
    y = h_swish(batch_norm(dense(x, weights, "reduce"), weights, "norm"))
    gate = sigmoid(dense(y, weights, "expand_0"))
    return x * gate, gate


CASES = [
    *both_formats(
        "coordinate_attention",
        layers.CoordinateAttention,
        {"ratio": 3, "min_width": 2},
        formula,
        scores=(2, 7, 5, 11),
    ),
    *both_formats(
        "coordinate_attention-1d",
        layers.CoordinateAttention,
        {},
        one_axis,
        shape=(2, 7, 11),
        scores=(2, 7, 11),
    ),
]


def test_a_video_has_a_gate_for_each_axis():
    layer = layers.CoordinateAttention()
    x = np.ones((1, 2, 3, 5, 7), "float32")
    assert tuple(layer(x).shape) == x.shape
    paths = {w.path.split("/")[-2] for w in layer.weights}
    assert paths == {"reduce", "norm", "expand_0", "expand_1", "expand_2"}


def test_the_hidden_layer_has_a_least_width():
    layer = layers.CoordinateAttention(ratio=32, min_width=8)
    layer.build((None, None, None, 64))
    assert tuple(layer.weights[0].shape) == (64, 8)


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*min_width=0"):
        layers.CoordinateAttention(min_width=0)
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.CoordinateAttention()(np.zeros((2, 16)))
