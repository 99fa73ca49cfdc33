"""rnn_translator on zoo_dates: dates as people write them to ISO 8601.

Single characters in and out, with the attention of Bahdanau et al. 2014
(https://arxiv.org/abs/1409.0473); generated, so that nothing is downloaded. No date of
the test split was trained on. Portuguese, which training never saw, is reported apart.

    attention-zoo train rnn_translator_dates --seeds 3

Time: 6 min a seed on one core of an Intel Xeon, and 5 min for the twin.
Expected: exact match of at least 0.99.
Measured: 0.9978, Portuguese 0.8410, over three seeds. In the same run: without
attention 0.0083, the most similar training date 0.0000.
"""

from attention_zoo.recipes.core.recipe import Recipe

RECIPE = Recipe(
    name="rnn_translator_dates",
    model="rnn_translator",
    dataset="zoo_dates",
    kind="translation",
    expected={"exact_match": 0.99},
    config={
        "embedding_dim": 64,
        "units": 128,
        "attention": "bahdanau_attention",
        "share_embeddings": True,
        "dropout": 0.1,
    },
    pipeline={
        "source": "text",
        "target": "iso",
        "vocabulary_size": 0,  # single characters
        "max_length": 48,
        "beam_size": 5,
        "metric": "exact_match",
        "apart_split": "unseen_locale",
    },
    train_split="train",
    validation_split="validation",
    batch_size=128,
    epochs=14,
    learning_rate=3e-3,
    warmup=0.1,
    ema=0.99,
    synthetic=True,
)


def space(hp):
    """Returns the values that a tuner may try."""
    return {
        "units": hp.Choice("units", [64, 96, 128]),
        "attention": hp.Choice("attention", ["bahdanau_attention", "luong_attention"]),
        "learning_rate": hp.Float("learning_rate", 1e-3, 8e-3, sampling="log"),
    }
