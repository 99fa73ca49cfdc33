"""What holds for every series layer by name: lengths, padding, batches."""

import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, loss_and_gradients, run, to_numpy

from attention_zoo import layers

NAMES = layers.list_attentions(family="series")
OF_VARIATES = "two_stage_attention"
SMALL = {
    "temporal_pattern_attention": {"window": 5},
    OF_VARIATES: {"max_segments": 17},
}
# JAX compiles for every length; what is not about numbers is the same code there.
LENGTHS = (1, 8) if BACKEND == "jax" else (1, 2, 3, 8, 13)
not_on_jax = pytest.mark.skipif(BACKEND == "jax", reason="slow to compile")


def draw(name, length, seed=0):
    shape = (2, 3, length, 10) if name == OF_VARIATES else (2, length, 10)
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def make(name):
    """Returns the layer: 4 heads for 10 features, which 4 does not divide."""
    keras.utils.set_random_seed(0)
    return layers.create_attention(name, **SMALL.get(name, {}))


def mask_argument(name):
    unary = ("fourier_block", "temporal_pattern_attention", OF_VARIATES)
    return "mask" if name in unary else "query_mask"


def argument(name):
    """Returns the name of the layer's first argument."""
    return "inputs" if mask_argument(name) == "mask" else "query"


@pytest.mark.parametrize("name", NAMES)
def test_any_length_keeps_its_shape(name):
    layer = make(name)
    layer.build(draw(name, 8).shape)
    for length in LENGTHS:
        x = draw(name, length)
        output = run(layer, {argument(name): x})
        pooled = name == "temporal_pattern_attention"
        assert output.shape == ((2, 10) if pooled else x.shape)
        assert np.isfinite(output).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_one_step_are_finite(name):
    layer, x, key = make(name), draw(name, 1), argument(name)
    layer.build(x.shape)
    _, weights, (gradient,) = loss_and_gradients(layer, {key: x}, (key,))
    found = [g for g in weights if g is not None]
    assert all(np.isfinite(g).all() for g in [*found, gradient])


@not_on_jax
@pytest.mark.parametrize("name", NAMES)
def test_one_model_takes_series_of_all_lengths(name):
    """`predict` compiles, with XLA on TensorFlow."""
    unknown = (3, None, 10) if name == OF_VARIATES else (None, 10)
    inputs, layer = keras.Input(unknown), make(name)
    model = keras.Model(inputs, layer(inputs))
    for length in (1, 8, 13):
        x = draw(name, length)
        expected = to_numpy(layer(x))
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=2e-5)


@not_on_jax
@pytest.mark.parametrize("name", NAMES)
def test_a_row_gives_what_it_gives_without_its_padding(name):
    layer, length = make(name), 8
    x = draw(name, length)
    expected = to_numpy(layer(x))
    for before, after in ((0, 5), (5, 0), (2, 3)):
        if name == OF_VARIATES and before:
            continue  # a segment's routers belong to its place
        width = [(0, 0)] * (x.ndim - 2) + [(before, after), (0, 0)]
        padded = np.pad(x, width, constant_values=np.nan)
        mask = ~np.isnan(padded[..., 0])
        got = to_numpy(layer(padded, **{mask_argument(name): mask}))
        if got.ndim > 2:
            got = got[..., before : before + length, :]
        np.testing.assert_allclose(got, expected, atol=2e-5)


@not_on_jax
@pytest.mark.parametrize("name", NAMES)
def test_a_row_does_not_depend_on_its_batch(name):
    layer, x = make(name), draw(name, 8)
    np.testing.assert_allclose(
        to_numpy(layer(x))[:1], to_numpy(layer(x[:1])), atol=1e-5
    )
