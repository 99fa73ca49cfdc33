import math

import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, relu, sigmoid, spread

from attention_zoo import layers

PAIRS = [(0, 0), (0, 1), (6, 0), (0, 5)]


def wave(u, i, size):
    scale = math.sqrt((2 if u else 1) / size)
    return scale * math.cos(math.pi * u * (i + 0.5) / size)


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    batch, height, width, channels = x.shape
    z = np.zeros((batch, channels))
    groups = np.array_split(np.arange(channels), len(PAIRS))  # 3, 3, 3, 2 channels
    for (u, v), group in zip(PAIRS, groups, strict=True):
        for h in range(height):
            for w in range(width):
                basis = wave(u, h, height) * wave(v, w, width)
                z[:, group] += basis * x[:, h, w, group]
    gate = sigmoid(dense(relu(dense(z, weights, "reduce")), weights, "expand"))
    return x * spread(gate, x), gate


CASES = both_formats(
    "frequency_channel_attention",
    layers.FrequencyChannelAttention,
    {"ratio": 1, "num_frequencies": 4},
    formula,
    scores=(2, 11),
)


def test_one_frequency_is_squeeze_and_excite():
    """The lowest frequency is the mean, up to the scale of the transform."""
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 11)).astype("float32")
    frequency = layers.FrequencyChannelAttention(ratio=3, num_frequencies=1)
    plain = layers.SqueezeExcite(ratio=3)
    frequency(x), plain(x)
    reduce, expand = (np.array(w) for w in frequency.get_weights())
    plain.set_weights([reduce * math.sqrt(7 * 5), expand])
    np.testing.assert_allclose(to_numpy(frequency(x)), to_numpy(plain(x)), atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="at most 32.*num_frequencies=33"):
        layers.FrequencyChannelAttention(num_frequencies=33)
    with pytest.raises(ValueError, match="too few channels for its groups"):
        layers.FrequencyChannelAttention(ratio=2)(np.zeros((2, 3, 3, 15)))
    with pytest.raises(ValueError, match="too few channels for its ratio"):
        layers.FrequencyChannelAttention(ratio=16)(np.zeros((2, 3, 3, 15)))
    with pytest.raises(ValueError, match="of rank 4"):
        layers.FrequencyChannelAttention()(np.zeros((2, 5, 16)))
