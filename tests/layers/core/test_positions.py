"""Rotary positions of a part of the features, and for longer sequences."""

import keras
import numpy as np
import pytest
from support.check_layer import to_numpy

from attention_zoo import layers

rng = np.random.default_rng(0)
X = rng.normal(size=(2, 3, 5, 8)).astype("float32")


def rotated(speeds, width=8, scale=1.0):
    """Su et al. 2021, equation 34, with given angles for a step."""
    output = X.astype("float64").copy()
    angles = np.arange(5)[:, None] * np.asarray(speeds)
    a, b = X[..., 0:width:2], X[..., 1:width:2]
    output[..., 0:width:2] = scale * (a * np.cos(angles) - b * np.sin(angles))
    output[..., 1:width:2] = scale * (a * np.sin(angles) + b * np.cos(angles))
    return output


def turned(**config):
    x = keras.ops.convert_to_tensor(X)
    return to_numpy(layers.RotaryPosition(**config).rotate(x))


def speeds(width=8, base=10000.0):
    return base ** (-np.arange(0, width, 2) / width)


def test_a_part_of_the_features():
    expected = rotated(speeds(4), width=4)
    np.testing.assert_allclose(turned(fraction=0.5), expected, atol=1e-5)
    np.testing.assert_array_equal(turned(fraction=0.5)[..., 4:], X[..., 4:])
    np.testing.assert_allclose(turned(fraction=0.6), expected, atol=1e-5)


def test_linear_scaling_divides_positions():
    """Chen et al. 2023, equation 4."""
    got = turned(scaling="linear", factor=4.0)
    np.testing.assert_allclose(got, rotated(speeds() / 4), atol=1e-5)


def test_ntk_raises_the_base():
    """Peng et al. 2023, equation 16: the slowest pair is `factor` times as slow."""
    own = speeds(base=10000.0 * 4 ** (8 / 6))
    np.testing.assert_allclose(turned(scaling="ntk", factor=4.0), rotated(own), 1e-4)
    np.testing.assert_allclose(own[-1], speeds()[-1] / 4)


def test_yarn_scales_by_the_turns():
    """Peng et al. 2023, equations 17 to 22."""
    lengths = 2 * np.pi / speeds()
    ratio = 64 / lengths
    ramp = np.clip((ratio - 1) / 31, 0, 1)
    own = (1 - ramp) * speeds() / 4 + ramp * speeds()
    got = turned(scaling="yarn", factor=4.0, original_length=64)
    expected = rotated(own, scale=0.1 * np.log(4) + 1)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert 0 < ramp[0] < 1
    assert ramp[-1] == 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"fraction": 0}, "above 0 and of at most 1. Received: fraction=0"),
        ({"fraction": 1.5}, "Received: fraction=1.5"),
        ({"scaling": "yarm"}, "did you mean 'yarn'"),
        ({"factor": 0.5}, "of at least 1. Received: factor=0.5"),
        ({"original_length": 0}, "Received: original_length=0"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        layers.RotaryPosition(**config)
