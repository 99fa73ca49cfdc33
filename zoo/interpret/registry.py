"""`explain`: which parts of an input a model attended to, and what it predicted."""

import difflib

import keras

from attention_zoo.interpret.calls import MethodError
from attention_zoo.interpret.choice import explain_by_choice
from attention_zoo.interpret.images import ImageExplanation
from attention_zoo.interpret.series import SeriesExplanation
from attention_zoo.interpret.text import TextExplanation
from attention_zoo.interpret.translation import TranslationExplanation
from attention_zoo.pretrained import card_of

# A model is explained by the first that accepts it: translators read strings too.
EXPLANATIONS = (
    TranslationExplanation,
    TextExplanation,
    SeriesExplanation,
    ImageExplanation,
)


METHODS = (*TextExplanation.methods, "grad_cam")


def explain(model, inputs, class_names=None, vocabulary=None, method="auto"):
    """Predicts a batch and shows what the model attended to, or what mattered to it.

    Attention tells where the model looked, not always what its answer hung on; other
    methods ask for that, and `explanation.faithfulness()` measures which one to
    believe:

    - `"auto"`: of a model that `load` opened the method that its card measured to be
      the most faithful; else attention, or where there is none `"gradient_x_input"`.
      `explanation.note` says which.
    - `"attention"`: the weights of a layer, the mean over heads.
    - `"rollout"`: attention followed through all layers (Abnar and Zuidema, 2020).
    - `"flow"`: the most that can run through them (the same); needs SciPy.
    - `"value_norm"`: the weights times the size of what is looked at (Kobayashi et al.,
      2020), of the last layer.
    - `"attention_x_gradient"`: of it, what the output rises with (Chefer et al., 2021).
    - `"gradient"`: how strongly a position moves the output (Simonyan et al., 2014).
    - `"gradient_x_input"`: its slope along what is there (Shrikumar et al., 2016).
    - `"integrated_gradients"`: the same along the way from nothing (Sundararajan et
      al., 2017), which adds up to the output.
    - `"occlusion"`: what hiding each part changes (Zeiler and Fergus, 2014).
    - `"grad_cam"`: the last map of an image model (Selvaraju et al., 2017).

    Gradients of text models are taken at the output of the embedding, against zero;
    those of images against the image's mean colour, of series against their mean.
    Images have no `"rollout"`, `"flow"`, `"value_norm"` or `"attention_x_gradient"` but
    where patches attend to each other, series have none of them, and translators
    `"attention"` alone.

    Args:
        model: A `keras.Model`, a graph or a subclass. Its attention layers may be of
            this package or Keras's own; gradient methods need none. Text models
            take raw strings, with a `TextVectorization` layer inside, or token ids
            `(B, T)` with 0 as padding and 1 for unknown words; forecasters windows
            `(B, L, C)`; image models pixels `(B, H, W, C)`.
        inputs: A batch of what the model takes, or one string.
        class_names: List of strings, the names of the classes, or of a forecaster's
            variates. Defaults to `None`, numbers.
        vocabulary: List of strings with the word of each token id, for models that
            take token ids. Defaults to `None`, the ids themselves.
        method: String, one of those above. Defaults to `"auto"`.

    Returns:
        An `Explanation`: a `TextExplanation` for text, a `SeriesExplanation` for
        series, an `ImageExplanation` for images, and a `TranslationExplanation` for a
        translator of raw strings.

    Raises:
        ValueError: If the model takes another kind of input, if the method is unknown
            or not for this kind, or needs an attention layer that gives each position
            (for images: each position, channel or branch) a weight, and there is none.

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
    check_method(method)
    for explanation in EXPLANATIONS:
        if explanation.accepts(model, inputs):
            if method == "auto":
                given = (inputs, class_names, vocabulary)
                return explain_by_choice(explanation, card_of(model), model, *given)
            if method not in explanation.methods:
                raise MethodError(
                    f"`explain` has for {explanation.takes} the methods "
                    f"{', '.join(explanation.methods)}. Received: method={method!r}"
                )
            return explanation.of(model, inputs, class_names, vocabulary, method)
    known = ", ".join(explanation.takes for explanation in EXPLANATIONS)
    declared = getattr(model, "inputs", None) or []
    received = [(t.dtype, t.shape) for t in keras.tree.flatten(declared)]
    raise ValueError(
        f"`explain` knows models of one input: {known}. "
        f"Received: model={model.name!r} with inputs {received}"
    )


def check_method(method):
    """Refuses an unknown method.

    Raises:
        MethodError: If the method is none of `METHODS` nor `"auto"`; names near ones.
    """
    known = ("auto", *METHODS)
    if method not in known:
        near = difflib.get_close_matches(str(method), known, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise MethodError(
            f"Unknown method of explanation. Expected one of {', '.join(known)}. "
            f"Received: method={method!r}.{hint}"
        )
