"""What all explanations share: attention weights by layer, predictions, a verdict.

A kind of input is one subclass of `Explanation` in one file, which says itself what
models it accepts; `attention_zoo.interpret.registry` lists them.
"""

import copy
from typing import Any

import numpy as np

from attention_zoo.interpret.calls import MethodError, NoAttentionError, looked_at
from attention_zoo.interpret.html import fragment, page, picture
from attention_zoo.interpret.methods.faithfulness import Faithfulness, curves
from attention_zoo.interpret.methods.ranks import rank_correlation
from attention_zoo.layers.core.recording_keras import LAYERS as KERAS_LAYERS


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
        class_names: List of `C` strings. Defaults to `None`, numbers.
        method: String, a key of `METHODS`. Defaults to `"attention"`.

    Attributes:
        attributions: Array of what the method says of each position, in the shape that
            the subclass documents; None for `"attention"`, which `weights` holds.
        weights: Dict from layer name to an array `(B, T)`: the weight of each
            position, as `position_weights` reduces what the layer used. Padding
            has none.
        note: String, one line on how `method="auto"` chose the method, or empty.

    Users call `attention_zoo.explain`, which returns one of the subclasses.

    Example:

    ```python
    model = attention_zoo.create("attention_lstm", vocabulary_size=7, units=2)
    explanation = attention_zoo.explain(model, np.array([[2, 3, 5]]))
    assert explanation.default_layer == "attention"
    assert np.allclose(explanation.weights_of().sum(axis=-1), 1)
    ```
    """

    takes = ""  # the inputs of the models that it explains, for an error message
    needs = "one weight per position of the input"
    methods: tuple[str, ...] = ("attention",)  # those that the kind of input has

    def __init__(
        self, model, predictions, records, mask, class_names=None, method="attention"
    ):
        self.model = model
        self.predictions = predictions
        self.records = records
        self.mask = mask
        self.class_names = class_names
        self.method = method
        self.note = ""
        self._single_moves: dict = {}  # what hiding each part does, of each input
        self.weights = self._named_weights()
        self._check_weights()
        self.attributions: Any = None if method == "attention" else self._attributions()

    @staticmethod
    def accepts(model, inputs=None):
        """Returns whether this class explains a model, judged by its inputs alone.

        Args:
            model: The model.
            inputs: A batch for it, which counts for models that are no graph.
        """
        raise NotImplementedError

    @classmethod
    def of(cls, model, inputs, class_names=None, vocabulary=None, method="attention"):
        """Calls a model and returns the explanation of its predictions.

        Args:
            model: A `keras.Model` that the class accepts.
            inputs: A batch of what the model takes.
            class_names: List of strings, the names of the classes. Defaults to `None`.
            vocabulary: List of strings with the word of each token id, for text models
                that take token ids. Defaults to `None`.
            method: String, one of the class's `methods`. Defaults to `"attention"`.
        """
        raise NotImplementedError

    def with_method(self, method):
        """Returns the explanation of the same predictions by another method.

        Args:
            method: String, one of the class's `methods`.

        Raises:
            ValueError: If the kind of input has no such method, or this model has not.
        """
        if method not in self.methods:
            raise MethodError(
                f"`explain` has for {self.takes} the methods "
                f"{', '.join(self.methods)}. Received: method={method!r}"
            )
        other = copy.copy(self)
        other.method, other.note = method, ""
        other.attributions = None
        other._check_weights()
        if method != "attention":
            other.attributions = other._attributions()
        return other

    def _check_weights(self):
        """Raises `NoAttentionError` where attention is to be shown and there is none"""
        if not self.weights and self.method == "attention":
            raise NoAttentionError(
                f"`explain` needs an attention layer with {self.needs}; gradient "
                f"methods, such as method='integrated_gradients', need none. "
                f"Received: {looked_at(self.model, self.records)}, inputs of the shape "
                f"{self.mask.shape}"
            )

    def _attributions(self):
        """Returns the array `attributions`. Each kind of input has its own."""
        raise NotImplementedError

    def _part_scores(self, layer_name):
        """Returns a list with an array `(P,)` for each input: the scores of parts."""
        raise ValueError(
            "`faithfulness` is for classifiers of texts and images and for forecasters "
            f"of series. Received: model={self.model.name!r}"
        )

    def _part_outputs(self, index, keep, batch_size):
        """Returns the output `(N,)` of an input with the parts in `keep` `(N, P)`."""
        raise NotImplementedError

    def _named_weights(self):
        """Returns the dict `weights`. A kind of input may have another form of it."""
        found = {
            name: _weights_by_position(record, self.mask)
            for name, record in self.records.items()
        }
        return {name: w for name, w in found.items() if w is not None}

    def __len__(self):
        return len(self.predictions)

    def __str__(self):
        note = "" if self.method == "attention" else self.note
        return "\n".join(filter(None, (note, self.to_text())))

    @property
    def default_layer(self):
        """The layer shown unless another is named.

        It is the last one with learned weights; a layer with `score=None`, such as
        the mean after a self-attention, is taken only where there is no other.
        """
        names = list(self.weights)
        learned = [name for name in names if is_learned(self.records[name])]
        return (learned or names)[-1]

    def weights_of(self, layer_name=None):
        """Returns the `(B, T)` weights of a layer.

        Args:
            layer_name: String, a key of `weights`. Defaults to `default_layer`.

        Returns:
            A float array `(B, T)`.

        Raises:
            ValueError: If there is no such layer.
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

    def faithfulness(self, layer_name=None, batch_size=64):
        """Measures whether the explanation tells what the output hung on.

        Parts of the input, such as words, are taken away, the ones with the highest
        score first, and the model predicts again; parts are hidden as `occlusion`
        hides them. Compare methods by it on inputs like those that matter.

        Args:
            layer_name: A key of `weights`, to measure the attention of that layer.
                Defaults to `None`, the explanation's own method.
            batch_size: Integer, inputs per call of the model. Defaults to `64`.

        Returns:
            A `Faithfulness` with an array `(B,)` for each measure.

        References:
            - [DeYoung et al., 2020](https://arxiv.org/abs/1911.03429)
            - [Samek et al., 2017](https://arxiv.org/abs/1509.06321)
        """
        measures = []
        for b, scores in enumerate(self._part_scores(layer_name)):

            def output_of(keep, b=b):
                return self._part_outputs(b, keep, batch_size)

            moves = self._moves_of_parts(b, len(scores), batch_size)
            correlation = rank_correlation(np.abs(moves), np.abs(scores))
            measures.append((*curves(scores, output_of), correlation))
        return Faithfulness(*np.asarray(measures).T)

    def _moves_of_parts(self, b, count, batch_size):
        """Returns by how much input `b`'s output falls without each part; asks once."""
        if b not in self._single_moves:
            outputs = np.zeros(1)
            if count:
                keep = np.concatenate([np.ones((1, count)), 1 - np.eye(count)])
                outputs = self._part_outputs(b, keep.astype(bool), batch_size)
            self._single_moves[b] = outputs[0] - outputs[1:]
        return self._single_moves[b]

    def to_html(self, layer_name=None):
        """Returns the explanation as one HTML page that needs no other file.

        Args:
            layer_name: A key of `weights`, to show the attention of that layer.
                Defaults to `None`, the explanation's own method.

        Returns:
            A string.
        """
        return page(self._html_title(layer_name), self._html_body(layer_name))

    def save_html(self, path, layer_name=None):
        """Writes `to_html` to a file.

        Args:
            path: Path of the file.
            layer_name: As `to_html` takes it. Defaults to `None`.
        """
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.to_html(layer_name))

    def _repr_html_(self):
        return fragment(self._html_title(None), self._html_body(None))

    def _shows_attention(self, layer_name):
        """Returns whether attention is shown, of a layer that is named or by method."""
        return layer_name is not None or self.method == "attention"

    def _html_title(self, layer_name):
        if self._shows_attention(layer_name):
            return f"attention of {layer_name or self.default_layer}"
        return self.method

    def _html_body(self, layer_name):
        """Returns the inner HTML: the picture, unless a kind of input has better."""
        lines = [self.verdict(b) for b in range(len(self))]
        return picture(self.plot(layer_name), lines)

    def to_text(self, layer_name=None):
        """Returns the explanation for a terminal. Each kind of input has its own."""
        raise NotImplementedError

    def plot(self, layer_name=None):
        """Returns a matplotlib `Figure`. Each kind of input has its own."""
        raise NotImplementedError


def is_learned(record):
    """Returns whether weights are learned: with `score=None` a layer is a mean."""
    return getattr(record.layer, "score", "") is not None


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

    Example:

    ```python
    weights = np.array([[[0.25, 0.75], [0.75, 0.25]]])  # (1, 2, 2)
    found = attention_zoo.interpret.base.position_weights(weights)
    assert found.tolist() == [[0.5, 0.5]]
    ```
    """
    weights = np.asarray(weights, dtype="float32")
    if weights.ndim == 4:
        weights = weights.mean(axis=1)  # (B, Tq, T)
    if weights.ndim == 3:
        seeing = (weights != 0).any(axis=-1).sum(axis=-1)  # (B,)
        weights = weights.sum(axis=1) / np.maximum(seeing, 1, dtype="float32")[:, None]
    return weights


def _weights_by_position(record, mask):
    """Returns the weights `(B, T)` of positions, or None where they are of others.

    One column more than there are positions is the layer's own sentinel, its last. A
    layer that gives padding a weight looks at something else, a memory for instance;
    Keras's own may do so for want of a mask, and then padding is left out.
    """
    weights = record.weights
    rows, length = mask.shape
    fits = weights.ndim in (2, 3, 4) and len(weights) == rows
    if not fits or weights.shape[-1] - length not in (0, 1):
        return None
    if isinstance(record.layer, KERAS_LAYERS):
        if weights.shape[-1] != length:
            return None
        if weights.shape[-2] == length:  # what padding looks at counts for nothing
            weights = weights * mask.reshape(rows, *[1] * (weights.ndim - 3), length, 1)
        return position_weights(weights) * mask
    reduced = position_weights(weights)[:, :length]
    return None if reduced[~mask].any() else reduced
