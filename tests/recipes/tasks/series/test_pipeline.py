"""The series pipeline: the protocol of the literature, value by value."""

import keras
import numpy as np
import pytest

from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.engine import trainer as _run
from attention_zoo.recipes.tasks.series import baselines, losses
from attention_zoo.recipes.tasks.series import pipeline as series

HORIZONS = (2, 5)
RECIPE = _recipe.get_recipe("inverted_transformer_etth1").replace(
    lookback=7, horizons=HORIZONS, batch_size=13, share=1.0, season=3, width=8,
    linear_start=True,
)  # fmt: skip
ROWS = {"train": 7 + 5 + 63, "validation": 5 + 31, "test": 5 + 31}


@pytest.fixture(scope="module")
def pipeline():
    return series.Pipeline(RECIPE, smoke=True)


@pytest.fixture(scope="module")
def core(pipeline):
    keras.utils.set_random_seed(3)
    return _run.build(RECIPE, pipeline)


def everything(pipeline):
    return np.concatenate([pipeline.rows[name] for name in series.SPLITS])


@pytest.mark.parametrize("split", series.SPLITS)
def test_windows(pipeline, split):
    """Each look-back may reach into the split before; no forecast leaves its own."""
    rows = everything(pipeline)
    scaled = (rows - pipeline.mean) / pipeline.deviation
    ends = np.cumsum([ROWS[name] for name in series.SPLITS])
    end = ends[series.SPLITS.index(split)]
    start = end - ROWS[split]
    first = start + (7 if split == "train" else 0)  # of the first forecast
    inputs, targets = pipeline.windows(split)
    assert len(inputs) == len(targets) == end - first - 2 + 1
    for i in (0, 1, len(inputs) - 5, len(inputs) - 1):
        now = first + i
        np.testing.assert_allclose(inputs[i], scaled[now - 7 : now], atol=1e-5)
        known = min(5, end - now)
        np.testing.assert_allclose(
            targets[i][:known], scaled[now : now + known], atol=1e-5
        )
        assert np.isnan(targets[i][known:]).all()
    for h in HORIZONS:
        whole = np.isfinite(targets[:, h - 1]).all(axis=-1).sum()
        assert whole == pipeline.window_count(split, h) == end - first - h + 1


def test_the_scale_comes_from_train_alone(pipeline):
    train = pipeline.rows["train"].astype("float64")
    np.testing.assert_allclose(pipeline.mean, train.mean(axis=0))
    np.testing.assert_allclose(pipeline.deviation, train.std(axis=0))
    values = pipeline.windows("train")[0]
    assert len(np.unique(pipeline.raw("train")[0][0] - pipeline.rows["train"][:7])) < 9
    assert np.abs(np.concatenate([values[0], values[-1]])).max() < 5


def test_an_epoch(pipeline):
    inputs, _ = pipeline.windows("train")
    batches = pipeline.batches("train", seed=0)
    first, second = (
        np.concatenate([x for x, _ in batches.as_numpy_iterator()]) for _ in range(2)
    )
    assert len(batches) == len(inputs) // 13
    assert first.shape == (13 * len(batches), 7, 3)
    assert len(np.unique(first, axis=0)) == len(first)  # no window twice
    assert {w.tobytes() for w in first} <= {w.tobytes() for w in inputs}
    assert (first != second).any()
    again = next(pipeline.batches("train", seed=0).as_numpy_iterator())[0]
    np.testing.assert_array_equal(again, first[:13])
    held_out = np.concatenate(
        [x for x, _ in pipeline.batches("validation").as_numpy_iterator()]
    )
    np.testing.assert_array_equal(held_out, pipeline.windows("validation")[0])
    part = series.Pipeline(RECIPE.replace(share=0.5), smoke=True)
    assert len(part.batches("train", seed=0)) == len(inputs) // 2 // 13


def own_errors(forecasts, targets):
    """MSE and MAE, a window at a time."""
    found = {}
    for h in HORIZONS:
        pairs = [
            (f[:h], t[:h])
            for f, t in zip(forecasts, targets, strict=True)
            if not np.isnan(t[:h]).any()
        ]
        found[f"mse_{h}"] = np.mean([np.mean((f - t) ** 2) for f, t in pairs])
        found[f"mae_{h}"] = np.mean([np.mean(np.abs(f - t)) for f, t in pairs])
    return found


def test_metrics(pipeline, core):
    inputs, targets = pipeline.windows("test")
    forecasts = np.asarray(core(np.ascontiguousarray(inputs), training=False))
    expected = own_errors(forecasts, targets)
    measured = pipeline.evaluate(core, "test")
    assert list(measured) == ["mse_2", "mse_5", "mae_2", "mae_5"]
    assert measured == pytest.approx(expected, rel=1e-5)
    metric = pipeline.metrics()[0]
    for start in (0, 20):  # two batches, of unlike size
        part = slice(start, start + 20)
        metric.update_state(targets[part], forecasts[part])
    mean = np.mean([expected["mse_2"], expected["mse_5"]])
    assert float(metric.result()) == pytest.approx(mean, rel=1e-5)


def test_the_model_takes_and_gives_raw_values(pipeline, core):
    model = pipeline.servable(core)
    raw, _ = pipeline.raw("test")
    inputs, _ = pipeline.windows("test")
    expected = np.asarray(core(np.ascontiguousarray(inputs), training=False))
    expected = expected * pipeline.deviation + pipeline.mean
    np.testing.assert_allclose(np.asarray(model(raw)), expected, rtol=1e-4)
    measured = pipeline.evaluate(model, "test")
    assert measured == pytest.approx(pipeline.evaluate(core, "test"), rel=1e-4)


def test_quantiles_of_a_model_rise(pipeline, tmp_path):
    """A core may let them cross; what people load does not, after saving too."""
    recipe = _recipe.get_recipe("attention_forecaster_climate").replace(
        lookback=7, horizons=HORIZONS, season=3
    )
    own = series.Pipeline(recipe, smoke=True)
    inputs = keras.Input((7, 3))
    last = keras.ops.expand_dims(inputs[:, -5:], -1)
    crossing = keras.Model(inputs, last * np.array([1, 0, -1], "float32"))
    model = own.servable(crossing)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    raw, _ = own.raw("test")
    outputs = np.asarray(model(raw[:9]))
    middle = np.broadcast_to(own.mean[:, None], outputs[..., 1:2].shape)
    np.testing.assert_allclose(outputs[..., 1:2], middle, rtol=1e-5)
    np.testing.assert_allclose(
        outputs[..., 0],
        np.minimum(raw[:9, -5:], 2 * own.mean - raw[:9, -5:]),
        rtol=1e-4,
    )
    assert (np.diff(outputs) >= 0).all()
    crossed, sorted_ = own.evaluate(crossing, "test"), own.evaluate(model, "test")
    assert crossed == pytest.approx(sorted_, rel=1e-4)


@pytest.mark.parametrize("kind", losses.LOSSES)
def test_the_loss(kind):
    rng = np.random.default_rng(0)
    truth, forecast = rng.normal(size=(2, 3, 5, 2)).astype("float32") * 2
    truth[2, 4:] = np.nan  # the split ends
    loss = losses.HorizonLoss(HORIZONS, kind)(truth, forecast)
    gap = np.abs(forecast - truth).astype("float64")
    point = {
        "mse": gap**2,
        "mae": gap,
        "huber": np.where(gap < 1, gap**2 / 2, gap - 0.5),
    }[kind].mean(axis=-1)
    whole = [np.mean([row[:2].mean(), row[:5].mean()]) for row in point[:2]]
    weights = np.array([0.5 / 2 + 0.5 / 5] * 2 + [0.5 / 5] * 2)
    cut = (point[2, :4] * weights).sum() / weights.sum()
    assert float(loss) == pytest.approx(np.mean([*whole, cut]), rel=1e-5)


def test_quantiles():
    levels = (0.1, 0.5, 0.9)
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4, 5, 2)).astype("float32")
    forecast = np.sort(rng.normal(size=(4, 5, 2, 3)), axis=-1).astype("float32")
    expected = np.mean(
        [
            np.maximum(q * (truth - f), (q - 1) * (truth - f))
            for q, f in zip(levels, np.moveaxis(forecast, -1, 0), strict=True)
        ],
        axis=0,
    )
    loss = losses.HorizonLoss((5,), "mse", levels)(truth, forecast)
    assert float(loss) == pytest.approx(expected.mean(), rel=1e-5)
    found = baselines.quantile_errors(forecast, truth, HORIZONS, levels)
    inside = (forecast[..., 0] <= truth) & (truth <= forecast[..., 2])
    assert found["coverage_2"] == inside[:, :2].mean()
    assert found["pinball_5"] == pytest.approx(expected.mean(), rel=1e-5)
    pipeline = series.Pipeline(RECIPE.replace(quantiles=levels), smoke=True)
    core = _run.build(pipeline.recipe, pipeline)
    pipeline.initialise(core)
    measured = pipeline.evaluate(pipeline.servable(core), "test")
    assert measured == pytest.approx(pipeline.evaluate(core, "test"), rel=1e-3)
    assert {"mse_2", "mae_5", "pinball_2", "coverage_5"} <= measured.keys()


# === Baselines ===


def test_seasonal_naive():
    inputs = np.arange(14.0).reshape(1, 7, 2)
    forecast = baselines.seasonal_naive(inputs, 5, 3)
    np.testing.assert_array_equal(forecast[0], inputs[0, [4, 5, 6, 4, 5]])


def test_the_linear_baseline(pipeline):
    """It finds a linear law, and is the least square error of its kind."""
    time = np.arange(400)[:, None]
    rows = np.sin(2 * np.pi * time / 24 + np.arange(3)) * [1, 2, 3] + [0, 5, 9]
    view = np.lib.stride_tricks.sliding_window_view(rows, 12, axis=0)
    view = view.transpose(0, 2, 1)
    pairs = view[:, :7], view[:, 7:]
    model = baselines.LinearForecaster(HORIZONS).fit(pairs, pairs)
    assert model.kernel.shape == (8, 5)
    assert model.ridges == [1e-4, 1e-4]
    measured = baselines.measure_linear(model, pairs, HORIZONS)
    assert measured["mse_5"] < 1e-3
    assert measured["ridges"] == model.ridges
    inputs, targets = pipeline.windows("train")
    both = inputs[:50], targets[:50]
    fitted = baselines.LinearForecaster(HORIZONS)
    gram, moment = fitted._moments(both, 5, slice(0, 5))
    fitted.kernel = np.linalg.solve(gram, moment)
    least = baselines.errors(fitted.predict(both[0]), both[1], (5,))["mse_5"]
    rng = np.random.default_rng(1)
    for _ in range(3):
        fitted.kernel = fitted.kernel + 0.01 * rng.normal(size=fitted.kernel.shape)
        other = baselines.errors(fitted.predict(both[0]), both[1], (5,))
        assert other["mse_5"] > least


def test_a_model_starts_from_the_linear_baseline(pipeline, core):
    fresh = _run.build(RECIPE, pipeline)
    pipeline.initialise(fresh)
    assert not fresh.get_layer("skip").trainable
    linear = pipeline.baselines()["linear"]()
    assert pipeline.evaluate(fresh, "test")["mse_5"] == pytest.approx(
        linear["mse_5"], rel=1e-2
    )


# === What is refused ===


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lookback": 0}, "lookback must be positive, received 0"),
        ({"season": 0}, "season must be positive"),
        ({"horizons": (5, 2)}, "horizons must be rising positive integers"),
        ({"horizons": ()}, "horizons must be rising"),
        ({"share": 0.0}, "share must be above 0"),
        ({"loss": "mape"}, "loss must be one of mse, mae, huber, received mape"),
    ],
)
def test_bad_values(change, message):
    with pytest.raises(UserError, match=message):
        series.Pipeline(RECIPE.replace(**change), smoke=True)


def test_gaps_are_filled_on_demand_alone(monkeypatch, capsys):
    generated = series.generate

    def with_gaps(*arguments):
        dates, rows = generated(*arguments)
        rows["train"][3:5, 1] = np.nan
        rows["test"][-1, 2] = np.nan
        return dates, rows

    monkeypatch.setattr(series, "generate", with_gaps)
    with pytest.raises(UserError, match="has gaps .*--set interpolate=true"):
        series.Pipeline(RECIPE, smoke=True)
    pipeline = series.Pipeline(RECIPE.replace(interpolate=True), smoke=True)
    assert "generated/smoke: 3 gaps filled" in capsys.readouterr().out
    assert pipeline.interpolated == 3
    column = pipeline.rows["train"][:, 1]
    np.testing.assert_allclose(column[2:6], np.linspace(column[2], column[5], 4))
    test = pipeline.rows["test"]
    assert test[-1, 2] == test[-2, 2]


def test_too_short_a_split():
    class Short(series.Pipeline):
        def _fill(self):
            super()._fill()
            self.rows["test"] = self.rows["test"][:4]

    with pytest.raises(UserError, match="split test .* has 4 rows, too few"):
        Short(RECIPE, smoke=True)


@pytest.mark.parametrize(
    ("text", "value"), [("(0.2, 0.5)", (0.2, 0.5)), ("none", None)]
)
def test_set_quantiles(text, value):
    changed = RECIPE.with_settings([f"quantiles={text}", "horizons=(3,)"])
    assert changed.config["quantiles"] == value
    assert changed.pipeline["horizons"] == (3,)
    with pytest.raises(UserError, match="quantiles takes a value of type tuple"):
        RECIPE.with_settings(["quantiles=0.5"])
