import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import convolve, dense

from attention_zoo import layers


def formula(dilation):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        channels = x.shape[-1]
        y = convolve(x, weights["local/kernel"], groups=channels)
        y = y + weights["local/bias"]
        y = convolve(y, weights["dilated/kernel"], dilation=dilation, groups=channels)
        gate = dense(y + weights["dilated/bias"], weights, "conv")
        return x * gate, gate

    return compute


CASES = [
    *both_formats(
        "large_kernel_attention",
        layers.LargeKernelAttention,
        {"kernel_size": 5, "dilation_rate": 2},
        formula(2),
        scores=(2, 7, 5, 11),
    ),
    *both_formats(
        "large_kernel_attention-1d",
        layers.LargeKernelAttention,
        {},
        formula(3),
        shape=(2, 7, 11),
        scores=(2, 7, 11),
    ),
]


def test_the_pieces_of_the_paper():
    layer = layers.LargeKernelAttention(kernel_size=21, dilation_rate=3)
    layer.build((None, None, None, 11))
    kernels = [tuple(w.shape) for w in layer.weights if w.name == "kernel"]
    assert kernels == [(5, 5, 11, 1), (7, 7, 11, 1), (11, 11)]


def test_errors():
    with pytest.raises(ValueError, match="odd integer.*kernel_size=20"):
        layers.LargeKernelAttention(kernel_size=20)
    with pytest.raises(
        ValueError, match="would dilate an even kernel.*dilation_rate=2"
    ):
        layers.LargeKernelAttention(kernel_size=7, dilation_rate=2)
    with pytest.raises(ValueError, match="positive integer.*dilation_rate=0"):
        layers.LargeKernelAttention(dilation_rate=0)
    with pytest.raises(ValueError, match="of rank 3 or 4"):
        layers.LargeKernelAttention()(np.zeros((2, 3, 5, 5, 16)))
