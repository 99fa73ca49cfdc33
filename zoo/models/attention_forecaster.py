"""The attention forecaster: an LSTM encoder and decoder with attention in between."""

import keras
from keras import ops

from attention_zoo import layers
from attention_zoo.models import _series

ATTENTIONS = ("bahdanau_attention", "luong_attention", "temporal_pattern_attention")


def attention_forecaster(
    lookback,
    horizon,
    num_variates,
    segment_length=4,
    step_length=24,
    units=32,
    attention="bahdanau_attention",
    dropout=0.1,
    quantiles=None,
    name="attention_forecaster",
):
    """Builds a forecaster: recurrent encoder, attention, recurrent decoder.

    1. Normalize: each window of each variate to mean 0 and variance 1. Every variate is
       a series of its own, with weights in common.
    2. Read: an LSTM over segments of `segment_length` steps, `s_1 ... s_S`,
       `(B * C, S, units)`.
    3. Decode: an LSTM that starts from the encoder's last state and reads it with a
       learned position at each of `M` steps, `d_1 ... d_M`, `(B * C, M, units)`.
    4. Attend: each `d_m` weighs the segments by their `s`, and copies what a linear
       layer makes of each segment, `(B * C, M, step_length)`.
    5. Forecast: the copy plus `step_length` steps out of `d_m`, cut to the horizon,
       `(B, H, C)`, and step 1 undone.

    where `B` is the batch size, `L = S * segment_length` the look-back, `H` the horizon
    and `C` the number of variates. Temporal pattern attention weighs the encoder's
    features instead: what it gives is where the decoder starts from, and nothing is
    copied.

    Args:
        lookback: Integer, how many steps the model sees.
        horizon: Integer, how many steps it forecasts.
        num_variates: Integer, the number of variates.
        segment_length: Integer, steps that the encoder reads at a time, a divisor of
            `lookback`. Defaults to `4`.
        step_length: Integer, steps that the decoder writes at a time. Defaults to `24`.
        units: Integer, width of both LSTMs. Defaults to `32`.
        attention: String or `None`. `"bahdanau_attention"`, `"luong_attention"`,
            `"temporal_pattern_attention"`, or `None` for the same model whose decoder
            has the encoder's last state only. Defaults to `"bahdanau_attention"`.
        dropout: Float in [0, 1). Dropout rate before the head. Defaults to `0.1`.
        quantiles: Increasing sequence of floats in (0, 1) that includes 0.5, or `None`
            for a point forecast. Defaults to `None`.
        name: String, the name of the model. Defaults to `"attention_forecaster"`.

    Returns:
        An uncompiled functional `keras.Model` from `(B, L, C)` to `(B, H, C)`, or to
        `(B, H, C, Q)` with quantiles, in float32.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    model = attention_zoo.create(
        "attention_forecaster", lookback=16, horizon=5, num_variates=2
    )
    forecast = model(np.random.rand(3, 16, 2).astype("float32"))
    assert forecast.shape == (3, 5, 2)
    ```

    References:
        - [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473): additive scores
        - [Luong et al., 2015](https://arxiv.org/abs/1508.04025): after the decoder
        - [Shih et al., 2019](https://arxiv.org/abs/1809.04206): temporal patterns
        - [Lin et al., 2023](https://arxiv.org/abs/2308.11200): segments
    """
    _series.check_arguments(
        "attention_forecaster",
        lookback,
        horizon,
        num_variates,
        dropout,
        quantiles,
        attention,
        ATTENTIONS,
    )
    if lookback % segment_length or lookback == segment_length:
        raise ValueError(
            "`attention_forecaster` expects at least two segments that fill the "
            "look-back. Received: "
            f"segment_length={segment_length}, lookback={lookback}"
        )
    segments, steps = lookback // segment_length, -(-horizon // step_length)
    levels = len(quantiles or "1")

    # === Layers ===
    encoder_layer = keras.layers.LSTM(
        units, return_sequences=True, return_state=True, name="encoder"
    )
    repeat_layer = keras.layers.RepeatVector(steps, name="repeat")
    # The bias of each step is its learned position.
    queries_layer = keras.layers.EinsumDense(
        "nmu,uv->nmv", (steps, units), bias_axes="mv", name="queries"
    )
    decoder_layer = keras.layers.LSTM(units, return_sequences=True, name="decoder")
    attention_layer = _make_attention(attention, units, segments)
    dropout_layer = keras.layers.Dropout(dropout, name="dropout")
    head_layer = keras.layers.Dense(step_length * levels, dtype="float32", name="head")
    copy_layer = _make_copy(segment_length, step_length, levels)

    # === Functional model ===
    series = keras.Input((lookback, num_variates), name="series")
    x, restore = _series.normalize(series)
    x = _series.by_variate(x)  # (B * C, L)
    segmented = ops.reshape(x, (-1, segments, segment_length))
    states, hidden, cell = encoder_layer(segmented)  # (B * C, S, units)
    if attention == "temporal_pattern_attention":
        hidden = attention_layer(states)
    queries = queries_layer(repeat_layer(hidden))  # (B * C, M, units)
    x = decoder_layer(queries, initial_state=[hidden, cell])
    outputs = head_layer(dropout_layer(x))  # (B * C, M, step_length * Q)
    if attention in ("bahdanau_attention", "luong_attention"):
        outputs = outputs + attention_layer(x, copy_layer(segmented), states)
    x = ops.reshape(outputs, (-1, steps * step_length, levels))[:, :horizon]
    forecast = _series.forecast_of(x, num_variates, horizon, quantiles)
    return keras.Model(series, _series.finish(forecast, restore), name=name)


def _make_attention(attention, units, segments):
    """Returns the attention layer, named `"attention"`, or None."""
    if attention is None:
        return None
    config = {
        "bahdanau_attention": {"units": units},
        "luong_attention": {},
        "temporal_pattern_attention": {"window": segments - 1},
    }[attention]
    layer = layers.create_attention(attention, **config)
    layer.name = "attention"  # the same path for its weights whatever the kind
    return layer


def _make_copy(segment_length, step_length, levels):
    """Returns the layer from a segment to what it alone says of a step.

    Where a segment is as long as a step, it says at first that the step is like it.
    """
    same = segment_length == step_length and levels == 1
    return keras.layers.Dense(
        step_length * levels,
        kernel_initializer="identity" if same else "glorot_uniform",
        dtype="float32",
        name="copy",
    )
