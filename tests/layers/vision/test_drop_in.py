"""What holds for every vision layer by name: shapes, formats, sizes, cost."""

import re

import keras
import numpy as np
import pytest

from attention_zoo import layers
from attention_zoo.layers.registry import attention_class

VIDEO = layers.list_attentions(family="temporal")
MAPS = [
    name
    for family in ("channel", "spatial", "hybrid", "branch")
    for name in layers.list_attentions(family=family)
]
# Layers that cut their channels into parts of one size take multiples of this only.
MULTIPLES = {
    "efficient_multi_scale_attention": 8,
    "shuffle_attention": 16,
    "split_attention": 2,
}


def shape_of(name, height, width, channels):
    channels -= channels % MULTIPLES.get(name, 1)
    frames = (3,) if name in VIDEO else ()
    return (2, *frames, height, width, channels)


def draw(shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


@pytest.mark.parametrize("name", MAPS + VIDEO)
@pytest.mark.parametrize("size", [(7, 5), (1, 1), (8, 8)])
def test_any_map_keeps_its_shape(name, size):
    """Odd sizes, one position, and 67 channels, a number that no reduction divides."""
    x = draw(shape_of(name, *size, 67))
    output = numpy(layers.create_attention(name)(x))
    assert output.shape == x.shape
    assert np.isfinite(output).all()


@pytest.mark.parametrize("name", MAPS + VIDEO)
def test_one_model_takes_maps_of_all_sizes(name):
    shape = shape_of(name, 7, 5, 67)
    inputs = keras.Input((*[None] * (len(shape) - 2), shape[-1]))
    layer = layers.create_attention(name)
    model = keras.Model(inputs, layer(inputs))
    model.compile(jit_compile=False)  # a graph for all sizes; XLA compiles one for each
    assert model.output.shape == inputs.shape
    for size in ((7, 5), (3, 4)):
        x = draw(shape_of(name, *size, 67))
        expected = numpy(layer(x))
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("name", MAPS + VIDEO)
def test_both_formats_agree(name):
    x = draw(shape_of(name, 7, 5, 67))
    last = layers.create_attention(name, data_format="channels_last")
    first = layers.create_attention(name, data_format="channels_first")
    expected = numpy(last(x))
    first(np.moveaxis(x, -1, 1))
    first.set_weights(last.get_weights())
    got = numpy(first(np.moveaxis(x, -1, 1)))
    np.testing.assert_allclose(np.moveaxis(got, 1, -1), expected, atol=1e-5)


def stated_cost(name):
    """Returns parameters and FLOPs that the docstring states."""
    text = " ".join(attention_class(name).__doc__.split())
    found = re.search(
        r"Cost at 64 channels on a (?:video of 8 frames of )?32 x 32(?: map)?: "
        r"([\d,]+) parameters, ([\d,]+) FLOPs",
        text,
    )
    assert found, "the docstring states no cost"
    return tuple(int(number.replace(",", "")) for number in found.groups())


def map_of_64_channels(name):
    return np.zeros((1, *([8] if name in VIDEO else []), 32, 32, 64), "float32")


@pytest.mark.parametrize("name", MAPS + VIDEO)
def test_parameters_are_those_stated(name):
    layer = layers.create_attention(name)
    layer.build(map_of_64_channels(name).shape)
    count = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
    assert count == stated_cost(name)[0]


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="PyTorch counts the operations"
)
@pytest.mark.parametrize("name", MAPS + VIDEO)
def test_flops_are_those_stated(name):
    """Two for each multiply-add of convolutions, dense layers and matrix products."""
    from torch.utils.flop_counter import FlopCounterMode

    layer = layers.create_attention(name)
    x = keras.ops.convert_to_tensor(map_of_64_channels(name))
    layer(x)
    # The counter does not know every kernel: weights are asked for, which none gives.
    with layers.record_attention(), FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == stated_cost(name)[1]
