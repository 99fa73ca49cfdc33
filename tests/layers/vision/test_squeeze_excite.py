import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, relu, sigmoid, spread

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    z = x.mean(axis=tuple(range(1, x.ndim - 1)))
    gate = sigmoid(dense(relu(dense(z, weights, "reduce")), weights, "expand"))
    return x * spread(gate, x), gate


CASES = [
    *both_formats(
        "squeeze_excite",
        layers.SqueezeExcite,
        {"ratio": 1, "use_bias": True},
        formula,
        scores=(2, 11),
    ),
    *both_formats(
        "squeeze_excite-1d",
        layers.SqueezeExcite,
        {"ratio": 1},
        formula,
        shape=(2, 7, 11),
        scores=(2, 11),
    ),
]


def test_the_hidden_layer_is_rounded_up():
    layer = layers.SqueezeExcite(ratio=16)
    layer.build((None, None, None, 17))
    assert [w.shape for w in layer.weights] == [(17, 2), (2, 17)]


def test_a_gate_of_known_value():
    """Weights of zero give gates of one half."""
    layer = layers.SqueezeExcite(ratio=2)
    x = np.ones((1, 3, 2, 4), "float32")
    layer(x)
    layer.set_weights([np.zeros((4, 2)), np.zeros((2, 4))])
    np.testing.assert_array_equal(to_numpy(layer(x)), 0.5 * x)


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*ratio=0"):
        layers.SqueezeExcite(ratio=0)
    with pytest.raises(ValueError, match="at least `ratio` channels.*channels=5"):
        layers.SqueezeExcite(ratio=16)(np.zeros((2, 3, 3, 5)))
    with pytest.raises(ValueError, match=r"rank 3 or 4 or 5.*\(2, 5\)"):
        layers.SqueezeExcite()(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="did you mean 'channels_last'"):
        layers.SqueezeExcite(data_format="channel_last")
    with pytest.raises(ValueError, match="known number of channels"):
        layers.SqueezeExcite().build((2, 5, 5, None))
