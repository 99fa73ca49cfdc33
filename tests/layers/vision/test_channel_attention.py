import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, relu, sigmoid, spread

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    axes = tuple(range(1, x.ndim - 1))
    gate = 0
    for z in (x.mean(axis=axes), x.max(axis=axes)):
        gate = gate + dense(relu(dense(z, weights, "reduce")), weights, "expand")
    return x * spread(sigmoid(gate), x), sigmoid(gate)


CASES = [
    *both_formats(
        "channel_attention",
        layers.ChannelAttention,
        {"ratio": 1},
        formula,
        scores=(2, 11),
    ),
    *both_formats(
        "channel_attention-3d",
        layers.ChannelAttention,
        {"ratio": 1, "use_bias": True},
        formula,
        shape=(2, 3, 7, 5, 11),
        scores=(2, 11),
    ),
]


def test_the_second_branch_pools_the_maximum():
    """Popular copies average twice: then one high position of mean 0 does nothing."""
    layer = layers.ChannelAttention(ratio=1)
    x = np.zeros((1, 3, 3, 2), "float32")
    x[0, 1, 1, 0], x[0, 0, 0, 0] = 2.0, -2.0  # channel 0: mean 0, maximum 2
    layer(x)
    layer.set_weights([np.eye(2), np.eye(2)])
    _, gate = layer(x, return_attention_scores=True)
    expected = [[1 / (1 + np.exp(-2.0)), 0.5]]
    np.testing.assert_allclose(to_numpy(gate), expected, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="`ChannelAttention` has too few channels"):
        layers.ChannelAttention(ratio=16)(np.zeros((2, 3, 3, 15)))
    with pytest.raises(ValueError, match="`ChannelAttention` expects `inputs` of rank"):
        layers.ChannelAttention()(np.zeros((2, 16)))
