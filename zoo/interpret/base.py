"""`explain`: which parts of an input a model attended to, and what it predicted.

This file holds what every kind of input shares. A kind is one file that turns a batch
into an `Explanation`: `explain_text.py`, `explain_series.py`, `explain_images.py`,
`explain_translation.py`.
"""

import importlib

import keras
import numpy as np

from attention_zoo.generation.texts import is_translator
from attention_zoo.layers import record_attention

# Kind of input -> "module:function", imported when an input of this kind comes.
EXPLAINERS = {
    "images": "attention_zoo.interpret.images:explain_images",
    "series": "attention_zoo.interpret.series:explain_series",
    "text": "attention_zoo.interpret.text:explain_text",
    "translation": "attention_zoo.interpret.translation:explain_translation",
}


class NoAttentionError(ValueError):
    """A model that has no attention weights to show."""


class Explanation:
    """The predictions for a batch of inputs, with the attention that led to them.

    `B` is the number of inputs, `C` of classes and `T` of positions, which are words
    in a text.

    Args:
        model: The `keras.Model` that was explained.
        predictions: Array `(B, C)` of class probabilities.
        records: Dict from the names of the attention layers, in the order of their
            calls, to `AttentionRecord`s with the weights as the layer used them.
        mask: Boolean array `(B, T)`, False where there is padding.
        class_names: List of `C` strings or None.

    Attributes:
        weights: Dict from layer name to an array `(B, T)`: the weight of each
            position, as `position_weights` reduces what the layer used. Padding
            has none.
    """

    needs = "one weight per position of the input"

    def __init__(self, model, predictions, records, mask, class_names=None):
        self.model = model
        self.predictions = predictions
        self.records = records
        self.mask = mask
        self.class_names = class_names
        self.weights = self._named_weights()
        if not self.weights:
            shapes = {name: r.weights.shape for name, r in records.items()}
            raise NoAttentionError(
                f"`explain` needs an attention layer with {self.needs}. "
                f"Received: weights of the shapes {shapes}, inputs of the shape "
                f"{mask.shape}"
            )

    def _named_weights(self):
        """Returns the dict `weights`. A kind of input may have another form of it."""
        found = {
            name: _weights_by_position(record.weights, self.mask)
            for name, record in self.records.items()
        }
        return {name: w for name, w in found.items() if w is not None}

    def __len__(self):
        return len(self.predictions)

    def __str__(self):
        return self.to_text()

    @property
    def default_layer(self):
        """The layer shown unless another is named.

        It is the last one with learned weights; a layer with `score=None`, such as
        the mean after a self-attention, is taken only where there is no other.
        """
        names = list(self.weights)
        learned = [
            name
            for name in names
            if getattr(self.records[name].layer, "score", "") is not None
        ]
        return (learned or names)[-1]

    def weights_of(self, layer_name=None):
        """Returns the `(B, T)` weights of a layer.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.

        Returns:
            A float array `(B, T)`.

        Raises:
            ValueError: When there is no such layer.
        """
        layer_name = self.default_layer if layer_name is None else layer_name
        if layer_name not in self.weights:
            raise ValueError(
                f"Unknown attention layer. Expected one of {list(self.weights)}. "
                f"Received: layer_name={layer_name!r}"
            )
        return self.weights[layer_name]

    def verdict(self, index):
        """Returns the predicted class of one input and its probability as a string."""
        row = self.predictions[index]
        best = int(np.argmax(row))
        name = self.class_names[best] if self.class_names else f"class {best}"
        return f"{name} ({row[best]:.3f})"

    def to_text(self, layer_name=None):
        """Returns the explanation for a terminal. Each kind of input has its own."""
        raise NotImplementedError

    def plot(self, layer_name=None):
        """Returns a matplotlib `Figure`. Each kind of input has its own."""
        raise NotImplementedError


def explain(model, inputs, class_names=None, vocabulary=None):
    """Predicts a batch and shows what the model attended to.

    Example:

    ```python
    model = attention_zoo.load("attention_lstm_imdb")
    explanation = attention_zoo.explain(model, ["a dull film with a great ending"])
    print(explanation)
    explanation.weights["attention"]  # (1, 7)
    explanation.plot().savefig("attention.png")
    ```

    Args:
        model: A `keras.Model` with attention layers of this package in it. Text models
            take raw strings, with a `TextVectorization` layer inside, or token ids
            `(B, T)` with 0 as padding and 1 for unknown words; forecasters windows
            `(B, L, C)`; image models pixels `(B, H, W, C)`.
        inputs: A batch of what the model takes, or one string.
        class_names: List of strings, the names of the classes, or of a forecaster's
            variates, or None.
        vocabulary: List of strings with the word of each token id, for models that
            take token ids. By default the ids themselves are shown.

    Returns:
        An `Explanation`: for text, a `TextExplanation`; for series, a
        `SeriesExplanation`; for images, an `ImageExplanation`; for a translator of raw
        strings, a `TranslationExplanation`.

    Raises:
        ValueError: When the model takes a kind of input that is not known here, or
            has no attention layer that gives each position a weight; for images, each
            position, channel or branch.
    """
    kind = _kind_of_input(model)
    module, function = EXPLAINERS[kind].split(":")
    explainer = getattr(importlib.import_module(module), function)
    return explainer(model, inputs, class_names=class_names, vocabulary=vocabulary)


def predict_with_attention(model, inputs):
    """Calls a model once and returns its probabilities and its attention.

    Args:
        model: A `keras.Model` with class probabilities as output.
        inputs: A batch as one tensor or array.

    Returns:
        A pair: an array `(B, C)`, with both classes where the model has one sigmoid
        output; and a dict of layer name to `AttentionRecord`. A layer that is called
        again counts on: `attention`, `attention_2`.
    """
    outputs, records = call_with_attention(model, inputs)
    return class_probabilities(outputs), records


def call_with_attention(model, inputs):
    """Calls a model once and returns its output as an array, and its attention.

    The attention is a dict as `predict_with_attention` returns it.
    """
    with record_attention() as calls:
        outputs = model(inputs, training=False)
    records = {}
    for record in calls:
        name, count = record.layer_name, 1
        while name in records:
            count += 1
            name = f"{record.layer_name}_{count}"
        records[name] = record
    return keras.ops.convert_to_numpy(outputs), records


def class_probabilities(outputs):
    """Returns outputs `(B, C)` as an array; one sigmoid column becomes two classes."""
    probabilities = keras.ops.convert_to_numpy(outputs)
    if probabilities.shape[-1] == 1:
        probabilities = np.concatenate([1 - probabilities, probabilities], axis=-1)
    return probabilities


def position_weights(weights):
    """Reduces attention weights to one weight per position.

    - `(B, T)`, pooling: as they are.
    - `(B, Tq, T)`, a query each: the mean over the queries that saw something, so
      that padded queries do not count. For `Tq = 1` these are the weights themselves,
      and for a self-attention that is averaged over the words they are the weight
      of each word in that average.
    - `(B, H, Tq, T)`, heads: the mean over heads first.

    Args:
        weights: Array of one of these shapes.

    Returns:
        A float32 array `(B, T)`.
    """
    weights = np.asarray(weights, dtype="float32")
    if weights.ndim == 4:
        weights = weights.mean(axis=1)  # (B, Tq, T)
    if weights.ndim == 3:
        seeing = (weights != 0).any(axis=-1).sum(axis=-1)  # (B,)
        weights = weights.sum(axis=1) / np.maximum(seeing, 1, dtype="float32")[:, None]
    return weights


def _weights_by_position(weights, mask):
    """Returns the weights `(B, T)` of positions, or None where they are of others.

    One column more than there are positions is the layer's own sentinel, its last. A
    layer that gives padding a weight looks at something else, a memory for instance.
    """
    rows, length = mask.shape
    fits = weights.ndim in (2, 3, 4) and len(weights) == rows
    if not fits or weights.shape[-1] - length not in (0, 1):
        return None
    reduced = position_weights(weights)[:, :length]
    return None if reduced[~mask].any() else reduced


def _kind_of_input(model):
    """Returns the key of `EXPLAINERS` for a model, or raises `ValueError`."""
    tensors = keras.tree.flatten(model.inputs or [])
    described = [(t.dtype, t.shape) for t in tensors]
    if len(tensors) == 1:
        dtype, shape = described[0]
        if dtype == "string" and is_translator(model):
            return "translation"
        if dtype == "string" or ("int" in dtype and len(shape) == 2):
            return "text"
        if "float" in dtype and len(shape) == 3:
            return "series"
        if len(shape) == 4:
            return "images"
    raise ValueError(
        "`explain` knows models that take raw strings, token ids (B, T), series "
        "(B, L, C) or images (B, H, W, C). "
        f"Received: model={model.name!r} with inputs {described}"
    )
