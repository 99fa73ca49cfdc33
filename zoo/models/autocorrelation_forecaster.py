"""The autocorrelation forecaster: trend and season apart, season by its own delays."""

import keras
from keras import ops

from attention_zoo import layers
from attention_zoo.models import _series

ATTENTIONS = ("auto_correlation",)


def autocorrelation_forecaster(
    lookback,
    horizon,
    num_variates,
    num_layers=2,
    num_heads=4,
    width=16,
    trend_length=25,
    attention="auto_correlation",
    dropout=0.1,
    quantiles=None,
    name="autocorrelation_forecaster",
):
    """Builds a forecaster: decomposition, auto-correlation blocks, linear heads.

    1. Normalize: each window of each variate to mean 0 and variance 1. Every variate is
       a series of its own, `(B * C, L)`, with weights in common.
    2. Decompose: the moving average over `trend_length` steps is the trend, the rest
       the season.
    3. Embed: each step of the season with its neighbours, `(B * C, L, width)`.
    4. Encode: `num_layers` blocks of auto-correlation and a feed-forward layer, after
       each of which the trend is taken out again.
    5. Forecast: a linear layer over time each for the season and for the trend of step
       2; the sum is `(B, H, C)`, and step 1 is undone.

    where `B` is the batch size, `L` the look-back, `H` the horizon and `C` the number
    of variates. This is the encoder of Autoformer with linear heads for its decoder.

    Args:
        lookback: Integer, how many steps the model sees.
        horizon: Integer, how many steps it forecasts.
        num_variates: Integer, the number of variates.
        num_layers: Integer, the number of blocks. Defaults to `2`.
        num_heads: Integer, heads of a block. Defaults to `4`.
        width: Integer, width of a step's embedding; that of the feed-forward layers is
            four times as much. Defaults to `16`.
        trend_length: Odd integer, steps of the moving average. Defaults to `25`.
        attention: String or `None`. `"auto_correlation"`, or `None` for the same model
            whose blocks are feed-forward layers only. Defaults to `"auto_correlation"`.
        dropout: Float in [0, 1). Dropout rate in the blocks. Defaults to `0.1`.
        quantiles: Increasing sequence of floats in (0, 1) that includes 0.5, or `None`
            for a point forecast. Defaults to `None`.
        name: String, the name of the model. Defaults to `"autocorrelation_forecaster"`.

    Returns:
        An uncompiled functional `keras.Model` from `(B, L, C)` to `(B, H, C)`, or to
        `(B, H, C, Q)` with quantiles, in float32.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    model = attention_zoo.create(
        "autocorrelation_forecaster", lookback=32, horizon=5, num_variates=2
    )
    forecast = model(np.random.rand(3, 32, 2).astype("float32"))
    assert forecast.shape == (3, 5, 2)
    ```

    References:
        - [Wu et al., 2021](https://arxiv.org/abs/2106.13008): Autoformer
        - [Zeng et al., 2022](https://arxiv.org/abs/2205.13504): linear heads
    """
    _series.check_arguments(
        "autocorrelation_forecaster",
        lookback,
        horizon,
        num_variates,
        dropout,
        quantiles,
        attention,
        ATTENTIONS,
    )
    if trend_length % 2 == 0:
        raise ValueError(
            "`autocorrelation_forecaster` expects an odd `trend_length`. "
            f"Received: trend_length={trend_length}"
        )
    outputs = horizon * len(quantiles or "1")

    # === Layers ===
    embedding_layer = keras.layers.Conv1D(width, 3, padding="same", name="embedding")
    summary_layer = keras.layers.Dense(1, name="summary")
    flatten_layer = keras.layers.Flatten(name="flatten")
    season_layer = keras.layers.Dense(outputs, dtype="float32", name="season")
    trend_layer = keras.layers.Dense(outputs, dtype="float32", name="trend")

    # === Functional model ===
    series = keras.Input((lookback, num_variates), name="series")
    x, restore = _series.normalize(series)
    x = ops.expand_dims(_series.by_variate(x), -1)  # (B * C, L, 1)
    trend = _moving_average(x, trend_length)
    x = embedding_layer(x - trend)  # (B * C, L, width)
    for i in range(num_layers):
        if attention is not None:
            attend = layers.AutoCorrelation(num_heads, name=f"attention_{i}")
            x = _add(x, attend(x), dropout, trend_length, f"attention_{i}")
        feed = layers.FeedForward(4 * width, "gelu", name=f"feed_{i}")
        x = _add(x, feed(x), dropout, trend_length, f"feed_{i}")
    x = season_layer(flatten_layer(summary_layer(x)))  # (B * C, H * Q)
    x = x + trend_layer(ops.squeeze(trend, -1))
    forecast = _series.forecast_of(x, num_variates, horizon, quantiles)
    return keras.Model(series, _series.finish(forecast, restore), name=name)


def _add(x, change, dropout, trend_length, name):
    """Returns `x` plus what a layer gave, without the trend of the sum."""
    x = x + keras.layers.Dropout(dropout, name=f"{name}_dropout")(change)
    return x - _moving_average(x, trend_length)


def _moving_average(x, length):
    """Returns the mean of `length` steps around each of `(N, T, D)`.

    The first and the last step stand for what lies beyond.
    """
    side = length // 2
    first = ops.repeat(x[:, :1], side, axis=1)
    last = ops.repeat(x[:, -1:], side, axis=1)
    padded = ops.concatenate([first, x, last], axis=1)
    return ops.average_pool(padded, length, strides=1, padding="valid")
