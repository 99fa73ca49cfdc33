"""Texts of none of the classes: how far the largest probability tells them.

A text counts as out of scope where its largest probability stays below a threshold
(Hendrycks and Gimpel 2017, https://arxiv.org/abs/1610.02136; for intents Larson et al.
2019, https://aclanthology.org/D19-1131). The threshold is picked on validation.
"""

import numpy as np
from sklearn.metrics import roc_auc_score


def report(pipeline, compute):
    """Returns `measure` of a model on the splits of a recipe's option `out_of_scope`.

    Args:
        pipeline: The text pipeline.
        compute: Function from raw texts to probabilities.
    """
    groups = [pipeline.splits[name].texts for name in ("validation", "test")]
    groups += map(pipeline.texts_of, pipeline.options["out_of_scope"])
    return measure(*(compute(texts).max(axis=-1) for texts in groups))


def measure(validation, test, validation_outside, test_outside):
    """Returns threshold, recalls and area under the curve, a dict of floats.

    Args:
        validation: Array `(N,)`, the largest probability of each validation text.
        test: The same of each test text.
        validation_outside: The same of each validation text of none of the classes.
        test_outside: The same of each test text of none of the classes.

    Returns:
        Dict of `threshold`, the one with the best mean of both recalls on validation;
        `recall`, the share of test texts of no class below it; `kept`, the share of
        the other test texts at or above it; and `auroc`, the chance that a text of a
        class has the larger probability.
    """
    inside, outside = np.sort(validation), np.sort(validation_outside)
    steps = np.unique(np.concatenate([inside, outside]))
    kept = 1 - np.searchsorted(inside, steps) / len(inside)
    found = np.searchsorted(outside, steps) / len(outside)
    threshold = steps[np.argmax(kept + found)]
    both = np.concatenate([test, test_outside])
    return {
        "threshold": float(threshold),
        "recall": float((test_outside < threshold).mean()),
        "kept": float((test >= threshold).mean()),
        "auroc": float(roc_auc_score(np.arange(len(both)) < len(test), both)),
    }
