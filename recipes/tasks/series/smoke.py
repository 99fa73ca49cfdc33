"""A generated series, for a smoke run."""

import numpy as np

SMOKE_VARIATES = ["load", "heat", "wind"]


def generate(lookback, horizon):
    """Returns hourly time stamps and a few waves in noise, for a smoke run."""
    lengths = {
        "train": lookback + horizon + 63,
        "validation": horizon + 31,
        "test": horizon + 31,
    }
    count = sum(lengths.values())
    start = np.datetime64("2001-01-01T00:00:00")
    dates = [str(start + np.timedelta64(i, "h")) for i in range(count)]
    rng, time = np.random.default_rng(7), np.arange(count)[:, None]
    waves = np.sin(2 * np.pi * time / np.array([24, 24, 168]) + np.arange(3))
    values = 10 * np.arange(1, 4) + 3 * waves + rng.normal(size=(count, 3))
    ends = np.cumsum([*lengths.values()])[:-1]
    parts = np.split(values.astype("float32"), ends)
    return dates, dict(zip(lengths, parts, strict=True))
