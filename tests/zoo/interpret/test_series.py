"""explain on series: weights are the layers' own, and hiding finds what counts."""

import keras
import numpy as np
import pytest
from keras import ops

import attention_zoo
from attention_zoo import layers
from attention_zoo.interpret import series as explain_series
from attention_zoo.layers.core.recording import record

L, H, C = 12, 5, 3
NAMES = ["load", "heat", "wind"]


@keras.saving.register_keras_serializable("tests")
class Fixed(keras.layers.Layer):
    """Passes its input on and records given weights."""

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.fixed = np.asarray(weights, dtype="float32")

    def call(self, inputs):
        record(self, ops.convert_to_tensor(self.fixed))
        return inputs


def fixed_model(weights, forecast):
    """A model whose layer `fixed` uses given weights.

    Args:
        weights: Array.
        forecast: Function from the series `(B, L, C)` to the forecast.
    """
    series = keras.Input((L, C))
    return keras.Model(series, forecast(Fixed(weights, name="fixed")(series)))


def draw(rows=2):
    return np.random.default_rng(3).normal(10, 3, (rows, L, C)).astype("float32")


def repeat_part(x):
    """The forecast hangs on steps 3 to 5 alone."""
    return ops.repeat(ops.mean(x[:, 3:6], axis=1, keepdims=True), H, axis=1)


def test_lags_of_a_model_of_one_variate_at_a_time():
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.ones(4), (2 * C, 2, 5))  # (B * C, heads, Tq, tokens)
    explanation = attention_zoo.explain(
        fixed_model(weights, repeat_part), draw(), class_names=NAMES
    )
    assert isinstance(explanation, explain_series.SeriesExplanation)
    assert explanation.kind_of("fixed") == "lags"
    lags = explanation.weights["fixed"]
    assert lags.shape == (2, C, L)
    tokens = weights.mean(axis=(1, 2)).reshape(2, C, 4)
    np.testing.assert_allclose(lags, np.repeat(tokens, 3, axis=-1) / 3, rtol=1e-5)


def test_as_many_patches_as_variates():
    """Two patches of two variates, one variate at a time, are of lags all the same."""
    model = attention_zoo.create(
        "patch_transformer", lookback=8, horizon=3, num_variates=2, patch_length=8,
        stride=8, num_layers=1, num_heads=1, width=4,
    )  # fmt: skip
    inputs = np.random.default_rng(1).normal(size=(3, 8, 2)).astype("float32")
    explanation = attention_zoo.explain(model, inputs)
    assert explanation.kind_of(explanation.default_layer) == "lags"
    assert explanation.occlusion().moves.shape == (3, 2, 2)


def test_hiding_time_finds_the_steps_that_count():
    weights = np.tile([0.1, 0.7, 0.1, 0.1], (2 * C, 1, 1, 1))
    inputs = draw()
    model = fixed_model(weights, repeat_part)
    found = attention_zoo.explain(model, inputs).occlusion()
    assert found.moves.shape == (2, C, 4)
    assert (found.moves[:, :, [0, 2, 3]] == 0).all()
    line = [inputs[:, 2] * (1 - s) + inputs[:, 6] * s for s in (0.25, 0.5, 0.75)]
    moved = np.abs(np.mean(line, axis=0) - inputs[:, 3:6].mean(axis=1))
    np.testing.assert_allclose(
        found.moves[:, :, 1], moved / inputs.std(axis=1), rtol=1e-4
    )
    np.testing.assert_allclose(found.rank_correlation, 1)


def test_hiding_variates_finds_those_that_count():
    pairs = np.array([[0.2, 0.7, 0.1], [0.8, 0.1, 0.1], [0.3, 0.3, 0.4]])
    weights = np.tile(pairs, (2, 2, 1, 1))  # (B, heads, C, C)

    def forecast(x):
        """Variate 0 hangs on 1 and 1 on 0; 2 on itself."""
        last = ops.take(x[:, -1:], ops.convert_to_tensor([1, 0, 2]), axis=2)
        return ops.repeat(last, H, axis=1)

    inputs = draw()
    explanation = attention_zoo.explain(fixed_model(weights, forecast), inputs)
    assert explanation.kind_of("fixed") == "variates"
    np.testing.assert_allclose(explanation.weights["fixed"][0], pairs, rtol=1e-6)
    found = explanation.occlusion()
    gap = np.abs(inputs[:, -1] - inputs.mean(axis=1))  # of the variate that is hidden
    expected = np.zeros((2, C, C))
    for seen, hidden in ((0, 1), (1, 0), (2, 2)):
        expected[:, seen, hidden] = gap[:, hidden] / inputs[:, :, seen].std(axis=1)
    np.testing.assert_allclose(found.moves, expected, rtol=1e-4, atol=1e-6)
    assert (found.rank_correlation > 0.7).all()


def test_delays_stand_where_they_lead():
    """A delay of 1 moves the last step onto the first, as the layer counts."""
    weights = np.zeros((2 * C, 1, L))
    weights[..., 1], weights[..., 0] = 0.75, 0.25
    model = fixed_model(weights, repeat_part)
    explanation = attention_zoo.explain(model, draw())
    recorded = explanation.records["fixed"]
    explanation.records["fixed"] = type(recorded)(
        "fixed", layers.AutoCorrelation(), recorded.weights
    )
    lags = explanation._named_weights()["fixed"]
    assert (lags[..., 0] == 0.75).all()
    assert (lags[..., -1] == 0.25).all()


def test_text_and_plots():
    keras.utils.set_random_seed(2)
    quantiles = (0.1, 0.5, 0.9)
    for name, config in {
        "inverted_transformer": {"num_layers": 1, "width": 8, "quantiles": quantiles},
        "attention_forecaster": {
            "units": 7, "segment_length": 3, "attention": "temporal_pattern_attention",
        },
    }.items():  # fmt: skip
        model = attention_zoo.create(
            name, lookback=L, horizon=H, num_variates=C, **config
        )
        explanation = attention_zoo.explain(model, draw(), class_names=NAMES)
        text = explanation.to_text()
        assert text.startswith("1. in 5 steps: load ")
        assert ", heat " in text
        figure = explanation.plot()
        assert [len(axes.get_images()) for axes in figure.axes[:4]] == [0, 1, 0, 1]
        shown = figure.axes[1].get_images()[0].get_array()
        np.testing.assert_array_equal(shown, explanation.weights_of()[0])
    with pytest.raises(ValueError, match="whose weights are of features"):
        explanation.occlusion()


def test_errors():
    model = fixed_model(np.ones((2 * C, 1, L)), repeat_part)
    with pytest.raises(ValueError, match=r"Received: inputs.shape=\(2, 11, 3\)"):
        attention_zoo.explain(model, draw()[:, 1:])
    other = fixed_model(np.ones((5, 7)), repeat_part)
    with pytest.raises(ValueError, match="`explain` needs an attention layer"):
        attention_zoo.explain(other, draw(), method="attention")
