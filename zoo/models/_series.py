"""What the forecasters share: their arguments, reversible normalization, the output."""

import keras
from keras import ops

from attention_zoo import layers
from attention_zoo.layers.core.validation import check_positive_integer, check_rate

EPSILON = 1e-5  # added to the variance of a window


def check_arguments(
    owner, lookback, horizon, num_variates, dropout, quantiles, attention, attentions
):
    """Raises `ValueError` for what no forecaster takes.

    Args:
        owner: Name of the model, for the message.
        lookback, horizon, num_variates: Positive integers.
        dropout: Float in `[0, 1)`.
        quantiles: None or a rising sequence of floats in `(0, 1)` that holds 0.5.
        attention: The model's argument `attention`.
        attentions: The names that it may have; None is always one.
    """
    check_positive_integer(
        owner, lookback=lookback, horizon=horizon, num_variates=num_variates
    )
    check_rate(owner, dropout=dropout)
    if quantiles is not None:
        levels = list(quantiles)
        inside = all(isinstance(q, float) and 0 < q < 1 for q in levels)
        if not inside or 0.5 not in levels or levels != sorted(set(levels)):
            raise ValueError(
                f"Invalid value for argument `quantiles` of `{owner}`. Expected None "
                "or a rising sequence of floats between 0 and 1 that holds 0.5. "
                f"Received: quantiles={quantiles!r}"
            )
    if attention is not None and attention not in attentions:
        raise ValueError(
            f"Invalid value for argument `attention` of `{owner}`. Expected one of "
            f"{list(attentions)} or None. Received: attention={attention!r}"
        )


def normalize(series, num_variates=None):
    """Takes level and scale out of each window, as RevIN does.

    Args:
        series: Tensor `(B, L, C)`.
        num_variates: Integer, how many of the first columns are forecast. Defaults to
            `None`: all.

    Returns:
        The window with mean 0 and variance 1 for each variate, and the function that
        gives a forecast `(B, H, C)` or `(B, H, C, Q)` the level and scale back.
    """
    mean = ops.mean(series, axis=1, keepdims=True)  # (B, 1, C)
    deviation = ops.sqrt(ops.var(series, axis=1, keepdims=True) + EPSILON)

    def restore(forecast):
        scale, level = deviation, mean
        if num_variates not in (None, series.shape[-1]):
            scale, level = scale[..., :num_variates], level[..., :num_variates]
        return rescale(forecast, scale, level)

    return (series - mean) / deviation, restore


def rescale(forecast, scale, level):
    """Returns `forecast * scale + level` for tensors of a graph of layers.

    Keras's `Add` takes a level `(1, 1, C, 1)`, of one window, for a bias along the last
    axis where Q equals C, on TensorFlow; `Subtract` does not.

    Args:
        forecast: Tensor `(B, H, C)` or `(B, H, C, Q)`.
        scale, level: Tensors `(B, 1, C)`.
    """
    if len(forecast.shape) == 4:
        scale, level = ops.expand_dims(scale, -1), ops.expand_dims(level, -1)
    return ops.subtract(forecast * scale, -level)


def by_variate(series):
    """Returns `(B, L, C)` as rows `(B * C, L)`, for models of a variate at a time."""
    return ops.reshape(ops.transpose(series, (0, 2, 1)), (-1, series.shape[1]))


def forecast_of(outputs, num_variates, horizon, quantiles):
    """Returns head outputs as a forecast.

    Args:
        outputs: Tensor that holds `horizon * Q` numbers for each variate of each
            window, the variates right behind the windows.
        num_variates: Integer `C`.
        horizon: Integer `H`.
        quantiles: None or a sequence of `Q` numbers.

    Returns:
        Tensor `(B, H, C)`, or `(B, H, C, Q)` with quantiles.
    """
    if quantiles is None:
        forecast = ops.reshape(outputs, (-1, num_variates, horizon))
        return ops.transpose(forecast, (0, 2, 1))
    forecast = ops.reshape(outputs, (-1, num_variates, horizon, len(quantiles)))
    return ops.transpose(forecast, (0, 2, 1, 3))


def finish(forecast, restore):
    """Returns a restored forecast in float32, as the layer `forecast`."""
    named = keras.layers.Activation("linear", dtype="float32", name="forecast")
    return named(restore(forecast))


def encode(x, num_layers, num_heads, intermediate_dim, dropout, attention):
    """Returns `(B, T, D)` through encoder blocks, normalized after each sublayer.

    Without attention a block is its feed-forward layer alone, so that positions do not
    see each other.
    """
    for i in range(num_layers):
        if attention is not None:
            x = layers.TransformerEncoderBlock(
                intermediate_dim,
                num_heads,
                dropout=dropout,
                activation="gelu",
                name=f"block_{i}",
            )(x)
            continue
        y = layers.FeedForward(intermediate_dim, "gelu", name=f"block_{i}")(x)
        y = keras.layers.Dropout(dropout, name=f"block_{i}_dropout")(y)
        x = keras.layers.LayerNormalization(epsilon=1e-6, name=f"block_{i}_norm")(x + y)
    return x
