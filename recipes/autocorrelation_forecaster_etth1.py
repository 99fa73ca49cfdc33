"""autocorrelation_forecaster on ett/h1: hourly load and oil temperature, look-back 96.

The encoder of Autoformer, Wu et al. 2021 (https://arxiv.org/abs/2106.13008), with
linear heads.

    attention-zoo train autocorrelation_forecaster_etth1 --seeds 3

Time: 85 s a seed on one core of an Intel Xeon, 40 s for the twin.
Expected: test MSE of at most 0.42 at 96, and below seasonal naive at every horizon.
Measured: 0.394, 0.444, 0.487, 0.487, over three seeds. In the same run: the linear
fit 0.384, 0.435, 0.478, 0.480, and without attention 0.390, 0.440, 0.483, 0.484: both
win.
"""

from attention_zoo.recipes.core.recipe import Recipe

RECIPE = Recipe(
    name="autocorrelation_forecaster_etth1",
    model="autocorrelation_forecaster",
    dataset="ett/h1",
    kind="series",
    expected={
        "mse_96": 0.42,
    },
    config={
        "num_layers": 1,
        "num_heads": 4,
        "width": 16,
        "trend_length": 25,
        "attention": "auto_correlation",
        "dropout": 0.1,
        "quantiles": None,
    },
    pipeline={
        "lookback": 96,
        "horizons": (96, 192, 336, 720),
        "share": 0.5,
        "loss": "mse",
        "season": 24,
        "interpolate": False,
        "linear_start": False,
    },
    train_split="train",
    validation_split="validation",
    test_split="test",
    batch_size=128,
    epochs=8,
    learning_rate=3e-3,
    warmup=0.1,
    ema=0.98,
)

VARIANTS = [
    RECIPE.replace(
        name="autocorrelation_forecaster_etth1_336",
        lookback=336,
        epochs=4,
        about="""\
autocorrelation_forecaster on ett/h1: hourly load and oil temperature, look-back 336.

The settings of autocorrelation_forecaster_etth1 with two weeks of the past instead of
four days, which suit it better, and half the epochs: the encoder of Autoformer, Wu et
al. 2021 (https://arxiv.org/abs/2106.13008), with linear heads.

    attention-zoo train autocorrelation_forecaster_etth1_336 --seeds 3

Time: 164 s a seed on one core of an Intel Xeon, 80 s for the twin.
Expected: test MSE of at most 0.42 at 96, and below seasonal naive at every horizon.
Measured: 0.401, 0.430, 0.447, 0.455, over three seeds. In the same run: the linear fit
0.371, 0.405, 0.427, 0.437, and without attention 0.392, 0.422, 0.439, 0.446:
both win.
""",
    )
]


def space(hp):
    """Returns the values that a tuner may try."""
    return {
        "width": hp.Choice("width", [16, 32, 64]),
        "learning_rate": hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
    }
