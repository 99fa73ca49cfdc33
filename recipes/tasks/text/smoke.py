"""The texts of a split, and a handful of generated ones for a smoke run."""

import collections

import numpy as np

SMOKE_SIZES = {"train": 192, "validation": 64, "test": 64, "unlabelled": 32}
Split = collections.namedtuple("Split", "texts labels marks", defaults=(None,))


def generate(name):
    """Returns a handful of generated reviews, a `Split`."""
    from attention_zoo.recipes.datasets import _grammar

    part = "test" if name == "test" else "train"
    seed = list(SMOKE_SIZES).index(name)
    reviews = list(_grammar.generate(part, SMOKE_SIZES[name], seed=seed))
    return Split(
        [review["text"].encode() for review in reviews],
        np.array([review["label"] for review in reviews]),
        [np.array(review["marks"]) for review in reviews],
    )
