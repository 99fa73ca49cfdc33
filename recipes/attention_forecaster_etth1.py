"""attention_forecaster on ett/h1: hourly load and oil temperature, look-back 96.

An LSTM reads each variate day by day, a second one writes day by day, and the attention
of Bahdanau et al. 2014 (https://arxiv.org/abs/1409.0473) says which of the past days
each new day resembles. One model for all four horizons. With 12 units what the state
cannot hold is looked up; with 32, on validation, model and twin came out alike.

    attention-zoo train attention_forecaster_etth1 --seeds 3

Time: 22 s a seed on one core of an Intel Xeon, 16 s for the twin.
Expected: test MSE of at most 0.385 at 96, and below seasonal naive at every horizon.
Measured: 0.373, 0.420, 0.460, 0.463, over three seeds. In the same run: the linear fit
0.384, 0.435, 0.478, 0.480, and without attention 0.398, 0.444, 0.481, 0.477.
"""

from attention_zoo.recipes.core.recipe import Recipe

RECIPE = Recipe(
    name="attention_forecaster_etth1",
    model="attention_forecaster",
    dataset="ett/h1",
    kind="series",
    expected={
        "mse_96": 0.385,
    },
    config={
        "segment_length": 24,  # a day
        "step_length": 24,
        "units": 12,
        "attention": "bahdanau_attention",
        "dropout": 0.1,
        "quantiles": None,
    },
    pipeline={
        "lookback": 96,
        "horizons": (96, 192, 336, 720),
        "share": 1.0,
        "loss": "mse",
        "season": 24,
        "interpolate": False,
        "linear_start": False,
    },
    train_split="train",
    validation_split="validation",
    test_split="test",
    batch_size=128,
    epochs=5,
    learning_rate=6e-3,
    warmup=0.1,
    ema=0.98,
)

VARIANTS = [
    RECIPE.replace(
        name="attention_forecaster_etth1_336",
        lookback=336,
        about="""\
attention_forecaster on ett/h1: hourly load and oil temperature, look-back 336.

The settings of attention_forecaster_etth1 with fourteen past days to choose from
instead of four: an LSTM encoder and decoder, and the attention of Bahdanau et al. 2014
(https://arxiv.org/abs/1409.0473) that copies days. One model for all four horizons.

    attention-zoo train attention_forecaster_etth1_336 --seeds 3

Time: 32 s a seed on one core of an Intel Xeon, 19 s for the twin.
Expected: test MSE of at most 0.385 at 96, and below seasonal naive at every horizon.
Measured: 0.380, 0.409, 0.423, 0.433, over three seeds. In the same run: the linear fit
0.371, 0.405, 0.427, 0.437, better at 96 and 192 and worse beyond, and without attention
0.404, 0.436, 0.451, 0.454.
""",
    )
]


def space(hp):
    """Returns the values that a tuner may try."""
    return {
        "units": hp.Choice("units", [16, 32, 64]),
        "learning_rate": hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
    }
