"""How much of the attention falls on the words that decide, where data mark them."""

import numpy as np

import attention_zoo


def marked_mass(servable, split, max_length, count):
    """Returns the share of the attention on marked words, a dict for the card.

    Args:
        servable: The model from raw strings.
        split: The `Split`; without marks nothing is measured.
        max_length: Integer, how many words of a text are read.
        count: Integer, the number of texts.
    """
    texts, _, marks = split
    if marks is None:
        return {}
    model_mass, uniform_mass = [], []
    for start in range(0, min(count, len(texts)), 64):
        part = slice(start, min(start + 64, count))
        weights = attention_zoo.explain(servable, texts[part]).weights_of()
        for row, mark in zip(weights, marks[part], strict=True):
            mark = np.asarray(mark)[:max_length]
            model_mass.append(float(row[: len(mark)] @ mark))
            uniform_mass.append(float(mark.mean()))
    return {
        "marked_mass": float(np.mean(model_mass)),
        "uniform_mass": float(np.mean(uniform_mass)),
        "marked_texts": len(model_mass),
    }
