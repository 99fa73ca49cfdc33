"""What users bring to series layers: masks of other shapes, integers, no rows."""

import inspect

import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, to_numpy

from attention_zoo import layers
from attention_zoo.layers.registry import DEFAULTS, attention_class

pytestmark = pytest.mark.skipif(BACKEND == "jax", reason="slow to compile")

NAMES = layers.list_attentions(family="series")
OF_VARIATES = "two_stage_attention"
WITH_HEADS = [
    "auto_correlation",
    "de_stationary_attention",
    "fourier_attention",
    "prob_sparse_attention",
]


def make(name, **config):
    keras.utils.set_random_seed(0)
    return layers.create_attention(name, **config)


def draw(name, rows=2):
    shape = (rows, 3, 7, 10) if name == OF_VARIATES else (rows, 7, 10)
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_are_the_same_numbers(name, dtype):
    x = (4 * np.abs(draw(name))).astype(dtype)
    layer = make(name)
    expected = to_numpy(layer(x.astype("float32")))
    np.testing.assert_allclose(to_numpy(layer(x)), expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_no_rows_gives_none(name):
    layer, x = make(name), draw(name)
    shape = to_numpy(layer(x)).shape
    assert to_numpy(layer(x[:0])).shape == (0, *shape[1:])


@pytest.mark.parametrize("name", NAMES)
def test_a_series_of_no_steps_is_refused_in_one_line(name):
    x = draw(name)[..., :0, :]
    with pytest.raises(ValueError, match="at least one element along each axis"):
        make(name)(x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["rows", "steps"])
def test_masks_broadcast(name, shape):
    """A mask `(B, 1)` is for all steps, one of `(1, T)` for all rows."""
    layer, x = make(name), draw(name)
    argument = "query_mask" if name in WITH_HEADS else "mask"
    whole = x.shape[:-1]
    small = np.zeros((2, *[1] * (len(whole) - 1)), bool)
    small[0] = True
    if shape == "steps":
        small = np.arange(7) < 4
        small = small.reshape([1] * (len(whole) - 1) + [7])
    expected = to_numpy(layer(x, **{argument: np.broadcast_to(small, whole)}))
    got = to_numpy(layer(x, **{argument: small}))
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("name", [*WITH_HEADS, "fourier_block"])
def test_time_distributed_hands_its_mask_on(name):
    """Keras fills in an argument called `mask` and no other there."""
    x, mask = np.stack([draw(name)] * 3, axis=1), np.ones((2, 3, 7), bool)
    mask[0, 1, 4:] = mask[1, 0, :2] = False
    layer = make(name)
    wrapped = keras.layers.TimeDistributed(layer)
    got = to_numpy(wrapped(x, mask=mask))
    expected = [to_numpy(layer(x[:, i], mask=mask[:, i])) for i in range(3)]
    np.testing.assert_allclose(got, np.stack(expected, axis=1), atol=1e-6)
    assert (got[0, 1, 4:] == 0).all()
    garbage = np.where(mask[..., None], x, 100).astype("float32")
    np.testing.assert_allclose(to_numpy(wrapped(garbage, mask=mask)), got, atol=1e-6)


@pytest.mark.parametrize("name", WITH_HEADS)
def test_a_mask_of_kerass_own_arrives(name):
    ids = np.array([[1, 2, 3, 0, 0], [4, 3, 2, 1, 4]])
    embedded = keras.layers.Embedding(5, 10, mask_zero=True)(ids)
    layer = make(name)
    got = to_numpy(layer(embedded))
    expected = to_numpy(layer(to_numpy(embedded), query_mask=ids > 0))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert (got[0, 3:] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_listed_is_refused_with_a_near_name(name):
    cls = attention_class(name)
    near = "num_filter" if name == "temporal_pattern_attention" else "num_head"
    with pytest.raises(ValueError, match=f"Unknown arguments.*did you mean '{near}s'"):
        cls(**{**DEFAULTS.get(name, {}), near: 2})
    with pytest.raises(ValueError, match="Unknown arguments.*block_size=2"):
        cls(**{**DEFAULTS.get(name, {}), "block_size": 2})


@pytest.mark.parametrize("name", NAMES)
def test_what_is_listed_is_saved(name):
    """NumPy's numbers too, as Python's."""
    layer = make(name)
    listed = set(inspect.signature(type(layer).__init__).parameters)
    config = layer.get_config()
    assert listed - {"self", "kwargs"} <= set(config)
    numbers = {k: np.int64(3) for k, v in config.items() if type(v) is int}
    clone = type(layer).from_config({**config, **numbers})
    saved = clone.get_config()
    assert all(type(saved[k]) is int and saved[k] == 3 for k in numbers)
    clone(draw(name))


@pytest.mark.parametrize("name", ["auto_correlation", "fourier_attention"])
def test_what_has_no_causal_form_refuses_one(name):
    with pytest.raises(ValueError, match="has no causal form"):
        make(name)(draw(name), use_causal_mask=True)
