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
        name: String, the name of the model. Defaults to `"inverted_transformer"`.

    Returns:
        An uncompiled functional `keras.Model` from `(B, L, C)` to `(B, H, C)`, or to
        `(B, H, C, Q)` with quantiles, in float32.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    model = attention_zoo.create(
        "inverted_transformer", lookback=16, horizon=5, num_variates=2
    )
    forecast = model(np.random.rand(3, 16, 2).astype("float32"))
    assert forecast.shape == (3, 5, 2)
    ```

    References:
        - [Liu et al., 2023](https://arxiv.org/abs/2310.06625): iTransformer
        - [Das et al., 2023](https://arxiv.org/abs/2304.08424): the linear skip
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

    # === Layers ===
    tokens_layer = keras.layers.Dense(width, name="tokens")
    tokens_dropout_layer = keras.layers.Dropout(dropout, name="tokens_dropout")
    outputs = horizon * len(quantiles or "1")
    head_layer = keras.layers.Dense(outputs, dtype="float32", name="head")
    skip_layer = keras.layers.Dense(
        outputs, kernel_initializer="zeros", dtype="float32", name="skip"
    )

    # === Functional model ===
    series = keras.Input((lookback, num_variates), name="series")
    x, restore = _series.normalize(series)
    rows = ops.transpose(x, (0, 2, 1))  # (B, C, L)
    x = tokens_layer(rows)  # (B, C, width)
    x = tokens_dropout_layer(x)
    x = _series.encode(x, num_layers, num_heads, 2 * width, dropout, attention)
    x = head_layer(x)  # (B, C, H * Q)
    if use_skip:
        x = x + skip_layer(rows)
    forecast = _series.forecast_of(x, num_variates, horizon, quantiles)
    return keras.Model(series, _series.finish(forecast, restore), name=name)
