"""Whether an explanation is of the model at all: its weights at random beside it."""

import contextlib

import numpy as np
from keras import ops

from attention_zoo.interpret.methods.ranks import rank_correlation
from attention_zoo.interpret.registry import explain


def sanity_check(model, inputs, method="attention", seed=0, **options):
    """Compares explanations of a model with those of its weights in a random order.

    A method that says the same of both shows the inputs, not what the model learned.
    The numbers of each weight are shuffled within it, all weights at once, so that
    their distribution stays; afterwards the model is as it was.

    Args:
        model: A `keras.Model` that `explain` takes. It must not be used by another
            thread meanwhile.
        inputs: A batch of `B` inputs, as `explain` takes them.
        method: String, a method of `explain`. Defaults to `"attention"`.
        seed: Integer. Seed of the order. Defaults to `0`.
        **options: Further arguments of `explain`.

    Returns:
        Array `(B,)`: Spearman's correlation of the size of each part's score with its
        size under shuffled weights. Near 0 is good; NaN where a score is the same for
        all parts.

    Raises:
        ValueError: If the model or the inputs have no such method.

    Example:

    ```python
    from attention_zoo.interpret.sanity import sanity_check
    model = attention_zoo.create("attention_lstm", vocabulary_size=7, units=2)
    correlations = sanity_check(model, np.array([[2, 3, 5, 4]]), "gradient")
    assert correlations.shape == (1,)
    ```

    References:
        - Adebayo et al. 2018, https://arxiv.org/abs/1810.03292
    """
    learned = _scores(explain(model, inputs, method=method, **options))
    with shuffled_weights(model, seed):
        random = _scores(explain(model, inputs, method=method, **options))
    return np.array(
        [rank_correlation(a, b) for a, b in zip(learned, random, strict=True)]
    )


@contextlib.contextmanager
def shuffled_weights(model, seed=0):
    """Shuffles the numbers within each trainable weight, until the block ends.

    Args:
        model: A `keras.Model`.
        seed: Integer. Seed of the order. Defaults to `0`.
    """
    rng = np.random.default_rng(seed)
    kept = [ops.convert_to_numpy(v).copy() for v in model.trainable_variables]
    try:
        for variable, value in zip(model.trainable_variables, kept, strict=True):
            variable.assign(rng.permutation(value.ravel()).reshape(value.shape))
        yield
    finally:
        for variable, value in zip(model.trainable_variables, kept, strict=True):
            variable.assign(value)


def _scores(explanation):
    """Returns a list with the size of each part's score, for each input."""
    return [np.abs(scores) for scores in explanation._part_scores(None)]
