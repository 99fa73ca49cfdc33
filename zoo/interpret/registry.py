"""`explain`: which parts of an input a model attended to, and what it predicted."""

import keras

from attention_zoo.interpret.images import ImageExplanation
from attention_zoo.interpret.series import SeriesExplanation
from attention_zoo.interpret.text import TextExplanation
from attention_zoo.interpret.translation import TranslationExplanation

# A model is explained by the first that accepts it: translators read strings too.
EXPLANATIONS = (
    TranslationExplanation,
    TextExplanation,
    SeriesExplanation,
    ImageExplanation,
)


def explain(model, inputs, class_names=None, vocabulary=None):
    """Predicts a batch and shows what the model attended to.

    Args:
        model: A `keras.Model` that has attention layers of this package. Text models
            take raw strings, with a `TextVectorization` layer inside, or token ids
            `(B, T)` with 0 as padding and 1 for unknown words; forecasters windows
            `(B, L, C)`; image models pixels `(B, H, W, C)`.
        inputs: A batch of what the model takes, or one string.
        class_names: List of strings, the names of the classes, or of a forecaster's
            variates. Defaults to `None`, numbers.
        vocabulary: List of strings with the word of each token id, for models that
            take token ids. Defaults to `None`, the ids themselves.

    Returns:
        An `Explanation`: a `TextExplanation` for text, a `SeriesExplanation` for
        series, an `ImageExplanation` for images, and a `TranslationExplanation` for a
        translator of raw strings.

    Raises:
        ValueError: If the model takes another kind of input, or has no attention layer
            that gives each position (for images: each position, channel or branch) a
            weight.

    Example:

    ```python
    model = attention_zoo.create("attention_lstm", vocabulary_size=7, units=2)
    token_ids = np.array([[2, 3, 5], [6, 1, 0]])
    words = ["", "[UNK]", "a", "dull", "great", "film", "ending"]
    explanation = attention_zoo.explain(model, token_ids, ["bad", "good"], words)
    assert explanation.weights["attention"].shape == (2, 3)
    print(explanation)
    # explanation.plot().savefig("attention.png")
    ```
    """
    for explanation in EXPLANATIONS:
        if explanation.accepts(model):
            return explanation.of(model, inputs, class_names, vocabulary)
    known = ", ".join(explanation.takes for explanation in EXPLANATIONS)
    received = [(t.dtype, t.shape) for t in keras.tree.flatten(model.inputs or [])]
    raise ValueError(
        f"`explain` knows models of one input: {known}. "
        f"Received: model={model.name!r} with inputs {received}"
    )
