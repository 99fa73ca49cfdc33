"""What users bring to vision layers: integers, no images, empty maps, wrong names."""

import inspect

import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, to_numpy

from attention_zoo import layers
from attention_zoo.layers.registry import attention_class

pytestmark = pytest.mark.skipif(BACKEND == "jax", reason="slow to compile")

VIDEO = layers.list_attentions(family="temporal")
NAMES = [
    name
    for family in ("channel", "spatial", "hybrid", "branch")
    for name in layers.list_attentions(family=family)
] + VIDEO


def make(name, **config):
    keras.utils.set_random_seed(0)
    return layers.create_attention(name, **config)


def draw(name):
    shape = (2, 3, 4, 5, 32) if name in VIDEO else (2, 4, 5, 32)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", NAMES)
def test_integers_are_the_same_numbers(name):
    x = (4 * np.abs(draw(name))).astype("uint8")
    layer = make(name)
    expected = to_numpy(layer(x.astype("float32")))
    for dtype in ("uint8", "int64"):
        np.testing.assert_allclose(to_numpy(layer(x.astype(dtype))), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_no_maps_gives_none(name):
    layer, x = make(name), draw(name)
    layer.build(x.shape)
    assert to_numpy(layer(x[:0])).shape == (0, *x.shape[1:])


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_map_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match="at least one element along each axis"):
        make(name)(draw(name)[:, :0])


@pytest.mark.parametrize("name", VIDEO)
def test_masks_of_frames_broadcast(name):
    layer, x = make(name), draw(name)
    for small in ([[True], [False]], [[True, True, False]]):
        small = np.array(small)
        expected = to_numpy(layer(x, mask=np.broadcast_to(small, (2, 3))))
        got = to_numpy(layer(x, mask=small))
        np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_listed_is_refused_with_a_near_name(name):
    with pytest.raises(ValueError, match="Unknown arguments.*mean 'data_format'"):
        attention_class(name)(data_formats="channels_last")
    with pytest.raises(ValueError, match="Unknown arguments.*dropout=0.1"):
        attention_class(name)(dropout=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_listed_is_saved(name):
    """NumPy's numbers too, as Python's."""
    layer, x = make(name), draw(name)
    listed = set(inspect.signature(type(layer).__init__).parameters)
    config = layer.get_config()
    assert listed - {"self", "kwargs"} <= set(config)
    numbers = {k: np.int64(v) for k, v in config.items() if type(v) is int}
    clone = type(layer).from_config({**config, **numbers})
    assert {type(clone.get_config()[k]) for k in numbers} <= {int}
    clone.build(x.shape)
    layer.build(x.shape)
    clone.set_weights(layer.get_weights())
    np.testing.assert_allclose(to_numpy(clone(x)), to_numpy(layer(x)))
