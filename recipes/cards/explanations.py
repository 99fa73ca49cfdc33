"""What a card says of the methods of explanation: how faithful each one is."""

import numpy as np

import attention_zoo
from attention_zoo.interpret.choice import compare_methods

COUNT = 20  # inputs


def report(pipeline, servable, count=COUNT):
    """Returns how faithful each method is to a model, a dict for the card.

    The inputs are of the validation split, on which the epoch was picked too.

    Args:
        pipeline: The pipeline with the data.
        servable: The model from raw inputs.
        count: Integer, inputs spread evenly over the split. Defaults to `20`.

    Returns:
        Dict of `split`, `inputs`, `methods`, which holds the means of the measures of
        each method, and `best`, the most faithful of them, see
        `attention_zoo.interpret.choice.best_of`. Empty where methods cannot be
        measured.
    """
    if not pipeline.COMPARES_METHODS:
        return {}
    inputs, _ = pipeline.raw("validation")
    picked = np.linspace(0, len(inputs) - 1, min(count, len(inputs))).astype(int)
    if isinstance(inputs, np.ndarray):
        inputs = inputs[np.unique(picked)]
    else:
        inputs = [inputs[i] for i in np.unique(picked)]
    compared = compare_methods(attention_zoo.explain(servable, inputs))
    return {
        "split": "validation",
        "inputs": len(inputs),
        **({"best": compared.best} if compared.best else {}),
        "methods": compared.means(),
    }


def method_of(card):
    """Returns the most faithful method that a card names, or `"attention"`."""
    return card.get("explanations", {}).get("best") or "attention"
