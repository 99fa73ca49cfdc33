import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import sigmoid, spread

from attention_zoo import layers
from attention_zoo.layers.vision.efficient_channel_attention import (
    adaptive_kernel_size,
)


def formula(weights, inputs, masks):
    x, kernel = inputs["inputs"], weights["kernel"].ravel()
    z = x.mean(axis=tuple(range(1, x.ndim - 1)))
    gate = np.zeros(z.shape)
    for c in range(z.shape[1]):
        for k in range(len(kernel)):
            neighbour = c + k - len(kernel) // 2
            if 0 <= neighbour < z.shape[1]:
                gate[:, c] += kernel[k] * z[:, neighbour]
    return x * spread(sigmoid(gate), x), sigmoid(gate)


CASES = [
    *both_formats(
        "efficient_channel_attention",
        layers.EfficientChannelAttention,
        {"kernel_size": 5},
        formula,
        scores=(2, 11),
    ),
    *both_formats(
        "efficient_channel_attention-1d",
        layers.EfficientChannelAttention,
        {},
        formula,
        shape=(2, 7, 13),
        scores=(2, 13),
    ),
]


def test_kernel_sizes_of_the_paper():
    sizes = {c: adaptive_kernel_size(c) for c in (1, 64, 128, 256, 512, 2048)}
    assert sizes == {1: 1, 64: 3, 128: 5, 256: 5, 512: 5, 2048: 7}


def test_errors():
    with pytest.raises(ValueError, match="odd integer.*kernel_size=4"):
        layers.EfficientChannelAttention(kernel_size=4)
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.EfficientChannelAttention()(np.zeros((2, 16)))
