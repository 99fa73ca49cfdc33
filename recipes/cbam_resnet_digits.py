"""cbam_resnet on zoo_digits: 1,797 handwritten digits, 8 x 8, no download.

The residual network of He et al. 2016 (https://arxiv.org/abs/1512.03385) with the
attention of Woo et al. 2018 (https://arxiv.org/abs/1807.06521) in each of its blocks.

    attention-zoo train cbam_resnet_digits --seeds 3

Time: 25 s a seed on one core of an Intel Xeon, and less for the twin.
Expected: test accuracy of at least 0.95.
Measured: 0.9685 over three seeds, with a standard deviation of 0.0098. In the same run:
without attention 0.9676, nearest neighbours 0.9500, logistic regression 0.8944. On so
few images attention changes nothing beyond the spread.
"""

from attention_zoo.recipes.core.recipe import Recipe

RECIPE = Recipe(
    name="cbam_resnet_digits",
    model="cbam_resnet",
    dataset="zoo_digits",
    kind="images",
    expected={"accuracy": 0.95},
    config={"depth": 14, "width": 16, "attention": "cbam", "dropout": 0.0},
    pipeline={"flip": False, "shift": 1, "erase": 0.0},
    batch_size=64,
    epochs=20,
    learning_rate=4e-3,
    warmup=0.1,
    weight_decay=0.05,
    label_smoothing=0.05,
    ema=0.95,  # of the last epoch
)


def space(hp):
    """Returns the values that a tuner may try."""
    return {
        "depth": hp.Choice("depth", [8, 14, 20]),
        "attention": hp.Choice(
            "attention", ["cbam", "squeeze_excite", "efficient_channel_attention"]
        ),
        "learning_rate": hp.Float("learning_rate", 1e-3, 1e-2, sampling="log"),
    }
