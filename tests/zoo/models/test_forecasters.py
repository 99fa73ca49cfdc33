"""The forecasters: normalization and its inverse, patches, trends, quantiles."""

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo.models import _series, autocorrelation_forecaster, patch_transformer

L, H, C = 12, 5, 3
CONFIGS = {
    "attention_forecaster": {"segment_length": 3, "step_length": 2, "units": 7},
    "autocorrelation_forecaster": {"num_layers": 1, "width": 8, "trend_length": 5},
    "inverted_transformer": {"num_layers": 1, "width": 8},
    "patch_transformer": {
        "patch_length": 4, "stride": 2, "num_layers": 1, "width": 8,
    },
}  # fmt: skip
names = pytest.mark.parametrize("name", CONFIGS)


def create(name, **config):
    keras.utils.set_random_seed(5)
    config = {"lookback": L, "horizon": H, "num_variates": C, **CONFIGS[name], **config}
    return attention_zoo.create(name, **config)


def draw(rows=4):
    return np.random.default_rng(3).normal(10, 3, (rows, L, C)).astype("float32")


def call(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs, training=False))


def test_the_normalization_and_its_inverse():
    series = draw()
    normal, restore = _series.normalize(keras.ops.convert_to_tensor(series))
    normal = keras.ops.convert_to_numpy(normal)
    expected = series - series.mean(axis=1, keepdims=True)
    expected /= np.sqrt(series.var(axis=1, keepdims=True) + _series.EPSILON)
    np.testing.assert_allclose(normal, expected, atol=1e-5)
    back = keras.ops.convert_to_numpy(restore(keras.ops.convert_to_tensor(normal)))
    np.testing.assert_allclose(back, series, rtol=1e-5)
    quantiles = np.stack([normal[:, :H], normal[:, :H] + 1], axis=-1)
    back = keras.ops.convert_to_numpy(restore(keras.ops.convert_to_tensor(quantiles)))
    np.testing.assert_allclose(back[..., 0], series[:, :H], rtol=1e-5)
    spread = np.sqrt(series.var(axis=1, keepdims=True) + _series.EPSILON)
    np.testing.assert_allclose(
        back[..., 1] - back[..., 0], np.repeat(spread, H, axis=1), rtol=1e-4
    )


@names
def test_level_and_scale_pass_through(name):
    model, inputs = create(name), draw()
    scale, level = np.array([2, 5, 11]), np.array([-3, 0, 100])
    moved = call(model, (inputs * scale + level).astype("float32"))
    np.testing.assert_allclose(
        moved, call(model, inputs) * scale + level, rtol=1e-3, atol=1e-3
    )


@names
def test_variates(name):
    """In another order they give the same; all but the inverted one keep them apart."""
    model, inputs = create(name), draw()
    forecast = call(model, inputs)
    np.testing.assert_allclose(
        call(model, inputs[:, :, [2, 0, 1]]), forecast[:, :, [2, 0, 1]], atol=1e-4
    )
    other = inputs.copy()
    other[:, :, 1] = other[:, ::-1, 1]
    changed = np.abs(call(model, other) - forecast).max(axis=(0, 1))
    assert changed[1] > 1e-3
    assert (changed[[0, 2]] > 1e-4).all() == (name == "inverted_transformer")


@pytest.mark.parametrize("use_skip", [True, False])
def test_covariates_are_seen_and_not_forecast(use_skip):
    """Of the rows ahead the known column alone counts, in whatever unit it is."""
    config = {"num_past": 2, "num_known": 1, "use_skip": use_skip}
    model = create("inverted_transformer", **config)
    inputs = np.random.default_rng(3).normal(10, 3, (4, L + H, C + 3)).astype("float32")
    forecast = call(model, inputs)
    assert forecast.shape == (4, H, C)
    for columns, rows, counts in (
        (slice(C + 2), slice(L, None), False),
        (slice(C, C + 2), slice(3), True),
        (slice(C + 2, None), slice(3), True),
        (slice(C + 2, None), slice(L + H - 1, None), True),
    ):
        changed = inputs.copy()
        changed[:, rows, columns] -= 5
        moved = np.abs(call(model, changed) - forecast).max(axis=(0, 1))
        assert (moved > 1e-4).all() if counts else (moved == 0).all()
    changed = inputs * np.array([1, 1, 1, 2, 3, 5]) + np.array([0, 0, 0, 7, 1, 2])
    moved = call(model, changed.astype("float32"))
    np.testing.assert_allclose(moved, forecast, rtol=1e-3, atol=1e-3)
    levels = create("inverted_transformer", quantiles=(0.1, 0.5, 0.9), **config)
    assert call(levels, inputs).shape == (4, H, C, 3)


@names
def test_one_window_is_forecast_like_several(name):
    """As many quantiles as variates: the level of each is no bias of the quantiles."""
    model, x = create(name, quantiles=(0.1, 0.5, 0.9)), draw()
    x = x + np.array([0, 100, 1000], "float32")
    np.testing.assert_allclose(call(model, x[:1]), call(model, x)[:1], rtol=1e-4)


@names
def test_quantiles(name):
    model = create(name, quantiles=(0.1, 0.5, 0.9))
    assert call(model, draw()).shape == (4, H, C, 3)
    for wrong in ((0.1, 0.9), (0.5, 0.1), (0.5, 1.5), (0.5, 0.5), (1, 0.5)):
        with pytest.raises(ValueError, match="that holds 0.5. Received: quantiles="):
            create(name, quantiles=wrong)


def test_patches():
    rows = np.arange(2 * L, dtype="float32").reshape(2, L)
    patches = patch_transformer._cut(keras.ops.convert_to_tensor(rows), 6, 2)
    padded = np.concatenate([rows, rows[:, -1:], rows[:, -1:]], axis=1)
    expected = np.stack([padded[:, i : i + 6] for i in (0, 2, 4, 6, 8)], axis=1)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(patches), expected)


def test_the_moving_average():
    x = np.random.default_rng(1).normal(size=(2, L, 3)).astype("float32")
    average = autocorrelation_forecaster._moving_average(
        keras.ops.convert_to_tensor(x), 5
    )
    padded = np.concatenate([x[:, :1], x[:, :1], x, x[:, -1:], x[:, -1:]], axis=1)
    expected = np.stack([padded[:, i : i + 5].mean(axis=1) for i in range(L)], axis=1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(average), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("patch_transformer", {"stride": 3}, "Received: stride=3, patch_length=4"),
        ("patch_transformer", {"lookback": 13}, "lookback=13"),
        ("patch_transformer", {"horizon": 0}, "`horizon` of `patch_transformer`"),
        ("patch_transformer", {"attention": "cbam"}, "Received: attention='cbam'"),
        ("inverted_transformer", {"dropout": 1.0}, "`dropout`.*Received: dropout=1.0"),
        ("inverted_transformer", {"num_variates": 2.5}, "num_variates=2.5"),
        ("inverted_transformer", {"num_known": -1}, "at least 0.*num_known=-1"),
        ("inverted_transformer", {"num_past": 1.0}, "at least 0.*num_past=1.0"),
        ("attention_forecaster", {"segment_length": 5}, "segment_length=5"),
        ("attention_forecaster", {"segment_length": 12}, "at least two segments"),
        ("autocorrelation_forecaster", {"trend_length": 4}, "odd `trend_length`"),
    ],
)
def test_errors(name, config, message):
    with pytest.raises(ValueError, match=message):
        create(name, **config)
