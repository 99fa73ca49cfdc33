"""What a model that people load does about level and scale of raw windows."""

import keras
from keras import ops

from attention_zoo.models import _series


def by_training(pipeline, series):
    """Returns windows standardised by the training rows, and what undoes it.

    Args:
        pipeline: The `Pipeline`.
        series: Tensor `(B, T, D)`.

    Returns:
        Tensor like `series`, and a function of forecasts `(B, H, C)` or
        `(B, H, C, Q)`.
    """
    standardise = _layer(pipeline, slice(None), name="standardise")
    count = len(pipeline.variates)
    return standardise(series), _layer(pipeline, slice(count), True, name="restore")


def by_window(pipeline, series):
    """Returns windows standardised by their own look-back, and what undoes it.

    This is for series of unlike level and scale, new ones too. Columns that are known
    ahead are standardised by the training rows.

    Args:
        pipeline: The `Pipeline`.
        series: Tensor `(B, T, D)`.

    Returns:
        As `by_training`.
    """
    seen = len(pipeline.variates) + len(pipeline.past)
    past = series[:, : pipeline.lookback, :seen]
    mean = ops.mean(past, axis=1, keepdims=True)  # (B, 1, C)
    deviation = ops.std(past, axis=1, keepdims=True)
    deviation = ops.where(deviation > 0, deviation, ops.ones_like(deviation))
    scaled = (series[:, :, :seen] - mean) / deviation
    if pipeline.known:
        known = _layer(pipeline, slice(seen, None), name="standardise_known")
        scaled = ops.concatenate([scaled, known(series[:, :, seen:])], axis=-1)
    scaled = keras.layers.Identity(name="standardise")(scaled)
    count = len(pipeline.variates)

    def restore(forecast):
        scale, level = deviation[:, :, :count], mean[:, :, :count]
        return _series.rescale(forecast, scale, level)

    return scaled, restore


def _layer(pipeline, columns, invert=False, name=None):
    """Returns the layer that standardises some columns by the training rows."""
    mean, variance = pipeline.mean[columns], pipeline.deviation[columns] ** 2
    return keras.layers.Normalization(
        axis=2,
        mean=mean.tolist(),
        variance=variance.tolist(),
        invert=invert,
        name=name,
    )
