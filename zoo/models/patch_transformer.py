"""The patch transformer: a series in patches, one variate at a time."""

import keras
from keras import ops

from attention_zoo.models import _series

ATTENTIONS = ("multi_head_attention",)


def patch_transformer(
    lookback,
    horizon,
    num_variates,
    patch_length=16,
    stride=8,
    num_layers=3,
    num_heads=4,
    width=16,
    attention="multi_head_attention",
    use_skip=True,
    dropout=0.2,
    quantiles=None,
    name="patch_transformer",
):
    """Builds a forecaster: patches, a transformer encoder, one linear head.

    1. Normalize: each window of each variate to mean 0 and variance 1.
    2. Fold: every variate is a series of its own, `(B * C, L)`, with weights in common.
    3. Patch: `P = (L - patch_length) / stride + 2` overlapping pieces, the last one
       filled up with the last value; each embedded with its position,
       `(B * C, P, width)`.
    4. Encode: `num_layers` blocks of self-attention over the patches,
       `(B * C, P, width)`.
    5. Forecast: all patches through one linear layer, plus another one straight from
       the window of step 2, `(B, H, C)`, and step 1 undone.

    where `B` is the batch size, `L` the look-back, `H` the horizon and `C` the number
    of variates.

    Args:
        lookback: Integer, how many steps the model sees.
        horizon: Integer, how many steps it forecasts.
        num_variates: Integer, the number of variates.
        patch_length: Integer, steps in a patch, a multiple of `stride`. Defaults
            to `16`.
        stride: Integer, steps between patches, a divisor of `lookback`. Defaults to
            `8`.
        num_layers: Integer, the number of blocks. Defaults to `3`.
        num_heads: Integer, heads of a block. Defaults to `4`.
        width: Integer, width of a patch's embedding; that of the feed-forward layers is
            eight times as much. Defaults to `16`.
        attention: String or `None`. `"multi_head_attention"`, or `None` for the same
            model whose patches do not see each other before the head. Defaults to
            `"multi_head_attention"`.
        use_skip: Boolean. Whether a linear layer leads from the window straight to the
            forecast, so that the blocks learn what it misses. PatchTST has none.
            Defaults to `True`.
        dropout: Float in [0, 1). Dropout rate in the blocks and before the head.
            Defaults to `0.2`.
        quantiles: Increasing sequence of floats in (0, 1) that includes 0.5, or `None`
            for a point forecast. Defaults to `None`.
        name: String, the name of the model. Defaults to `"patch_transformer"`.

    Returns:
        An uncompiled functional `keras.Model` from `(B, L, C)` to `(B, H, C)`, or to
        `(B, H, C, Q)` with quantiles, in float32.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    model = attention_zoo.create(
        "patch_transformer", lookback=32, horizon=5, num_variates=2
    )
    forecast = model(np.random.rand(3, 32, 2).astype("float32"))
    assert forecast.shape == (3, 5, 2)
    ```

    References:
        - [Nie et al., 2022](https://arxiv.org/abs/2211.14730): PatchTST
        - [Das et al., 2023](https://arxiv.org/abs/2304.08424): the linear skip
        - [Kim et al., 2022](https://openreview.net/forum?id=cGDAkQo1C0p): the
          reversible normalization, here without its learned scale
    """
    _series.check_arguments(
        "patch_transformer",
        lookback,
        horizon,
        num_variates,
        dropout,
        quantiles,
        attention,
        ATTENTIONS,
    )
    if patch_length % stride or lookback % stride or patch_length > lookback:
        raise ValueError(
            "`patch_transformer` expects a `stride` that divides `patch_length` and "
            "`lookback`, and patches no longer than `lookback`. Received: "
            f"stride={stride}, patch_length={patch_length}, lookback={lookback}"
        )
    patches = (lookback - patch_length) // stride + 2

    # === Layers ===
    # The bias of each patch is its learned position.
    patches_layer = keras.layers.EinsumDense(
        "npl,ld->npd", (patches, width), bias_axes="pd", name="patches"
    )
    patches_dropout_layer = keras.layers.Dropout(dropout, name="patches_dropout")
    flatten_layer = keras.layers.Flatten(name="flatten")
    dropout_layer = keras.layers.Dropout(dropout, name="dropout")
    outputs = horizon * len(quantiles or "1")
    head_layer = keras.layers.Dense(outputs, dtype="float32", name="head")
    skip_layer = keras.layers.Dense(
        outputs, kernel_initializer="zeros", dtype="float32", name="skip"
    )

    # === Functional model ===
    series = keras.Input((lookback, num_variates), name="series")
    x, restore = _series.normalize(series)
    rows = _series.by_variate(x)  # (B * C, L)
    x = patches_layer(_cut(rows, patch_length, stride))  # (B * C, P, width)
    x = patches_dropout_layer(x)
    x = _series.encode(x, num_layers, num_heads, 8 * width, dropout, attention)
    x = head_layer(dropout_layer(flatten_layer(x)))  # (B * C, H * Q)
    if use_skip:
        x = x + skip_layer(rows)
    forecast = _series.forecast_of(x, num_variates, horizon, quantiles)
    return keras.Model(series, _series.finish(forecast, restore), name=name)


def _cut(rows, patch_length, stride):
    """Returns rows `(N, L)` as overlapping patches `(N, P, patch_length)`."""
    length = rows.shape[-1]
    end = ops.repeat(rows[:, -1:], stride, axis=1)
    rows = ops.concatenate([rows, end], axis=1)
    pieces = ops.reshape(rows, (-1, length // stride + 1, stride))
    count = (length - patch_length) // stride + 2
    shifts = range(patch_length // stride)
    return ops.concatenate([pieces[:, i : i + count] for i in shifts], axis=-1)
