"""Windows of one series or of several, and the scale of each."""

import numpy as np

SPLITS = ("train", "validation", "test")


def by_series(rows, owners):
    """Returns the rows of each series, a list of dicts from splits to arrays.

    Args:
        rows: Dict from splits to arrays `(T, D)`.
        owners: Dict from splits to the name of the series of each row, those of a
            series one behind the other; or None for one series.

    Returns:
        The names of the series, and the list.
    """
    if owners is None:
        return [""], [rows]
    names = list(dict.fromkeys(name for split in SPLITS for name in owners[split]))
    number = {name: i for i, name in enumerate(names)}
    found: list = [{} for _ in names]
    for split in SPLITS:
        numbers = np.array([number[name] for name in owners[split]])
        ends = np.cumsum(np.bincount(numbers, minlength=len(names)))
        pieces = np.split(rows[split][np.argsort(numbers, kind="stable")], ends[:-1])
        for parts, piece in zip(found, pieces, strict=True):
            parts[split] = piece
    return names, found


def cut(rows, split, lookback, horizon, beyond):
    """Returns the windows `(N, L + H, D)` of a split of one series, a view.

    The first window of a split looks back into the split before it, and no forecast
    leaves its own.

    Args:
        rows: Dict from splits to arrays `(T, D)`.
        split: Name of the split.
        lookback: Integer `L`.
        horizon: Integer `H`.
        beyond: Integer, how many steps of a forecast may lie behind the end of the
            split, where the rows are NaN.
    """
    before = [rows[name] for name in SPLITS[: SPLITS.index(split)]]
    start = 0 if split == "train" else max(0, sum(map(len, before)) - lookback)
    values = np.concatenate([*before, rows[split]])[start:]
    behind = np.full((beyond, values.shape[1]), np.nan)
    values = np.concatenate([values, behind]).astype("float32")
    length = lookback + horizon
    if len(values) < length:
        return np.empty((0, length, values.shape[1]), "float32")
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)
    return view.transpose(0, 2, 1)


def scale_of(values):
    """Returns mean and deviation of the columns of `(T, D)`; that of constants is 1."""
    values = values.astype("float64")
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation[deviation == 0] = 1
    return mean, deviation


def scales_of(parts, known):
    """Returns mean and deviation of each series, arrays `(S, 1, D)`, by its train rows.

    A column that is constant in a series has the deviation that it has over all series,
    and the columns that are known ahead have one scale for all.

    Args:
        parts: List of dicts from splits to arrays `(T, D)`.
        known: Integer, how many of the last columns are known ahead.
    """
    whole = scale_of(np.concatenate([rows["train"] for rows in parts]))
    if len(parts) == 1:
        return [np.reshape(scale, (1, 1, -1)) for scale in whole]
    means, deviations = [], []
    for rows in parts:
        mean, deviation = scale_of(rows["train"])
        constant = (rows["train"] == rows["train"][:1]).all(axis=0)
        deviations.append(np.where(constant, whole[1], deviation))
        means.append(mean)
    scales = [np.array(means)[:, None], np.array(deviations)[:, None]]
    if known:
        for scale, common in zip(scales, whole, strict=True):
            scale[:, :, -known:] = common[-known:]
    return scales
