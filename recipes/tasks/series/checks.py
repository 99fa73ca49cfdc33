"""Checks of the settings and the data set of a forecaster."""

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.series.losses import LOSSES


def check_options(
    lookback, horizons, share, loss, season, interpolate, linear_start, step=""
):
    """Raises `UserError` for values outside their range."""
    for name, value in (("lookback", lookback), ("season", season)):
        if value < 1:
            raise UserError(f"{name} must be positive, received {value}")
    whole = all(isinstance(h, int) and h > 0 for h in horizons)
    if not horizons or not whole or sorted(set(horizons)) != list(horizons):
        raise UserError(f"horizons must be rising positive integers: {horizons}")
    if not 0 < share <= 1:
        raise UserError(f"share must be above 0 and at most 1, received {share}")
    if loss not in LOSSES:
        raise UserError(f"loss must be one of {', '.join(LOSSES)}, received {loss}")
    if not isinstance(interpolate, bool):
        raise UserError(f"interpolate must be true or false, received {interpolate}")


def variates_of(builder):
    """Returns the names of the numeric features, after a check that there are any."""
    features = builder.info.features
    names = [
        name
        for name, feature in features.items()
        if feature.shape == () and feature.np_dtype in (np.float32, np.float64)
    ]
    if "date" not in features or not names:
        raise UserError(
            f"dataset '{builder.name}' does not fit this recipe: it takes a feature "
            f"date and numbers, and this data set has {', '.join(features)}"
        )
    return names
