"""The inverted transformer: every variate is a token, attention runs between them."""

import keras
from keras import ops

from attention_zoo.models import _series

ATTENTIONS = ("multi_head_attention",)


def inverted_transformer(
    lookback,
    horizon,
    num_variates,
    num_layers=2,
    num_heads=4,
    width=64,
    attention="multi_head_attention",
    use_skip=True,
    dropout=0.1,
    quantiles=None,
    num_past=0,
    num_known=0,
    name="inverted_transformer",
):
    """Builds a forecaster: whole series as tokens, a transformer encoder, a head.

    1. Normalize: each window of each variate to mean 0 and variance 1.
    2. Embed: the window of a variate, all `L` steps, is one token, `(B, C, width)`.
    3. Encode: `num_layers` blocks of self-attention over the variates.
    4. Forecast: each token through one linear layer, plus another one straight from the
       window of step 1, `(B, H, C)`, and step 1 undone.

    where `B` is the batch size, `L` the look-back, `H` the horizon and `C` the number
    of variates.

    Covariates are more tokens in steps 2 and 3, which are looked at and not forecast:
    `P` past columns as the variates are, and `K` columns that are known over the
    horizon too, whose token is made of all `L + H` steps, normalized over these. The
    columns of the input are variates, past and known columns in this order.

    Args:
        lookback: Integer, how many steps the model sees.
        horizon: Integer, how many steps it forecasts.
        num_variates: Integer, the number of variates.
        num_layers: Integer, the number of blocks. Defaults to `2`.
        num_heads: Integer, heads of a block. Defaults to `4`.
        width: Integer, width of a token; that of the feed-forward layers is twice as
            much. Defaults to `64`.
        attention: String or `None`. `"multi_head_attention"`, or `None` for the same
            model whose variates do not see each other. Defaults to
            `"multi_head_attention"`.
        use_skip: Boolean. Whether a linear layer leads from the window straight to the
            forecast, so that the blocks learn what it misses. iTransformer has none.
            Defaults to `True`.
        dropout: Float in [0, 1). Dropout rate in the blocks and after the embedding.
            Defaults to `0.1`.
        quantiles: Increasing sequence of floats in (0, 1) that includes 0.5, or `None`
            for a point forecast. Defaults to `None`.
        num_past: Integer, the number `P` of columns that are known up to now and not
            forecast. Defaults to `0`.
        num_known: Integer, the number `K` of columns that are known over the horizon
            too. With them the input is `(B, L + H, C + P + K)`, and of its last `H`
            steps the known columns alone are looked at. Defaults to `0`.
        name: String, the name of the model. Defaults to `"inverted_transformer"`.

    Returns:
        An uncompiled functional `keras.Model` from `(B, L, C + P)` to `(B, H, C)`, or
        to `(B, H, C, Q)` with quantiles, in float32.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    model = attention_zoo.create(
        "inverted_transformer", lookback=16, horizon=5, num_variates=2
    )
    forecast = model(np.random.rand(3, 16, 2).astype("float32"))
    assert forecast.shape == (3, 5, 2)

    model = attention_zoo.create(
        "inverted_transformer", lookback=16, horizon=5, num_variates=2, num_known=1
    )
    forecast = model(np.random.rand(3, 16 + 5, 3).astype("float32"))
    assert forecast.shape == (3, 5, 2)
    ```

    References:
        - [Liu et al., 2023](https://arxiv.org/abs/2310.06625): iTransformer
        - [Das et al., 2023](https://arxiv.org/abs/2304.08424): the linear skip
        - [Wang et al., 2024](https://arxiv.org/abs/2402.19072): TimeXer, covariates as
          tokens
        - [Kim et al., 2022](https://openreview.net/forum?id=cGDAkQo1C0p): the
          reversible normalization, here without its learned scale
    """
    _series.check_arguments(
        "inverted_transformer",
        lookback,
        horizon,
        num_variates,
        dropout,
        quantiles,
        attention,
        ATTENTIONS,
    )

    for argument, value in (("num_past", num_past), ("num_known", num_known)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(
                f"Invalid value for argument `{argument}` of `inverted_transformer`. "
                f"Expected an integer of at least 0. Received: {argument}={value!r}"
            )

    # === Layers ===
    tokens_layer = keras.layers.Dense(width, name="tokens")
    tokens_dropout_layer = keras.layers.Dropout(dropout, name="tokens_dropout")
    outputs = horizon * len(quantiles or "1")
    head_layer = keras.layers.Dense(outputs, dtype="float32", name="head")
    skip_layer = keras.layers.Dense(
        outputs, kernel_initializer="zeros", dtype="float32", name="skip"
    )

    # === Functional model ===
    seen = num_variates + num_past
    steps = lookback + horizon if num_known else lookback
    series = keras.Input((steps, seen + num_known), name="series")
    past = series[:, :lookback, :seen] if num_known else series
    x, restore = _series.normalize(past, num_variates)
    rows = ops.transpose(x, (0, 2, 1))  # (B, C + P, L)
    x = tokens_layer(rows)  # (B, C + P, width)
    if num_known:
        known_layer = keras.layers.Dense(width, name="known_tokens")
        known, _ = _series.normalize(series[:, :, seen:])
        known = known_layer(ops.transpose(known, (0, 2, 1)))  # (B, K, width)
        x = ops.concatenate([x, known], axis=1)
    x = tokens_dropout_layer(x)
    x = _series.encode(x, num_layers, num_heads, 2 * width, dropout, attention)
    if num_past or num_known:
        x, rows = x[:, :num_variates], rows[:, :num_variates]
    x = head_layer(x)  # (B, C, H * Q)
    if use_skip:
        x = x + skip_layer(rows)
    forecast = _series.forecast_of(x, num_variates, horizon, quantiles)
    return keras.Model(series, _series.finish(forecast, restore), name=name)
