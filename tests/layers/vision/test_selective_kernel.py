import numpy as np
import pytest
from support.check_layer import to_numpy
from support.image_cases import both_formats
from support.image_formulas import batch_norm, convolve, dense, relu, softmax, spread

from attention_zoo import layers


def formula(branches, groups=1):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        maps = []
        for i in range(branches):
            y = convolve(x, weights[f"conv_{i}/kernel"], dilation=i + 1, groups=groups)
            maps.append(relu(batch_norm(y, weights, f"norm_{i}")))
        z = sum(maps).mean(axis=tuple(range(1, x.ndim - 1)))
        z = relu(batch_norm(dense(z, weights, "reduce"), weights, "norm"))
        logits = np.split(dense(z, weights, "select"), branches, axis=-1)
        attention = softmax(np.stack(logits, axis=1), axis=1)
        output = sum(spread(attention[:, i], x) * maps[i] for i in range(branches))
        return output, attention

    return compute


CASES = [
    *both_formats(
        "selective_kernel",
        layers.SelectiveKernel,
        {"min_width": 17},
        formula(2),
        scores=(2, 2, 11),
    ),
    *both_formats(
        "selective_kernel-three",
        layers.SelectiveKernel,
        {"filters": 9, "branches": 3, "ratio": 2, "min_width": 13, "groups": 3},
        formula(3, groups=3),
        shape=(2, 7, 5, 6),
        scores=(2, 3, 9),
    ),
]


def test_the_weights_of_a_channel_sum_to_one():
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 11)).astype("float32")
    layer = layers.SelectiveKernel(branches=3)
    _, weights = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(weights).sum(axis=1), 1, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*branches=0"):
        layers.SelectiveKernel(branches=0)
    with pytest.raises(ValueError, match="positive integer.*filters=0"):
        layers.SelectiveKernel(filters=0)
    with pytest.raises(ValueError, match="that 4 divides.*groups=4, channels=6"):
        layers.SelectiveKernel(groups=4)(np.zeros((2, 3, 3, 6)))
    with pytest.raises(ValueError, match="that 3 divides.*groups=3, channels=5"):
        layers.SelectiveKernel(filters=5, groups=3)(np.zeros((2, 3, 3, 6)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.SelectiveKernel()(np.zeros((2, 16)))
