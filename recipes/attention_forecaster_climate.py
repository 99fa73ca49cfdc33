"""attention_forecaster_climate on zoo_climate.

https://arxiv.org/abs/1409.0473

    attention-zoo train attention_forecaster_climate

Expected: see RECIPE.
Measured: not yet.
"""

from attention_zoo.recipes._recipe import Recipe

RECIPE = Recipe(
    name="attention_forecaster_climate",
    model="attention_forecaster",
    dataset="zoo_climate",
    kind="series",
    expected={"mse_13": 0.1, "mse_52": 0.1},
    config={
        "segment_length": 4,
        "step_length": 13,
        "units": 16,
        "attention": "bahdanau_attention",
        "dropout": 0.0,
        "quantiles": (0.1, 0.5, 0.9),
    },
    pipeline={
        "lookback": 104,
        "horizons": (13, 52),
        "share": 1.0,
        "loss": "mse",
        "season": 52,
        "interpolate": True,
        "linear_start": False,
    },
    train_split="train",
    validation_split="validation",
    test_split="test",
    batch_size=64,
    epochs=30,
    learning_rate=8e-3,
    warmup=0.1,
    ema=0.9,
)


def space(hp):
    """Returns the values that a tuner may try."""
    return {
        "units": hp.Choice("units", [16, 32, 64]),
        "learning_rate": hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
    }
