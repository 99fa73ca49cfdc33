"""What all explanations share: attention weights by layer, predictions, a verdict.

A kind of input is one subclass of `Explanation` in one file, which says itself what
models it accepts; `attention_zoo.interpret.registry` lists them.
"""

import keras
import numpy as np

from attention_zoo.layers import record_attention


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
        class_names: List of `C` strings. Defaults to `None`, numbers.

    Attributes:
        weights: Dict from layer name to an array `(B, T)`: the weight of each
            position, as `position_weights` reduces what the layer used. Padding
            has none.

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

    @staticmethod
    def accepts(model):
        """Returns whether this class explains a model, judged by its inputs alone."""
        raise NotImplementedError

    @classmethod
    def of(cls, model, inputs, class_names=None, vocabulary=None):
        """Calls a model and returns the explanation of its predictions.

        Args:
            model: A `keras.Model` that the class accepts.
            inputs: A batch of what the model takes.
            class_names: List of strings, the names of the classes. Defaults to `None`.
            vocabulary: List of strings with the word of each token id, for text models
                that take token ids. Defaults to `None`.
        """
        raise NotImplementedError

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

    def to_text(self, layer_name=None):
        """Returns the explanation for a terminal. Each kind of input has its own."""
        raise NotImplementedError

    def plot(self, layer_name=None):
        """Returns a matplotlib `Figure`. Each kind of input has its own."""
        raise NotImplementedError


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


def only_input(model):
    """Returns the symbolic input of a model, or None if it has several or none."""
    tensors = keras.tree.flatten(model.inputs or [])
    return tensors[0] if len(tensors) == 1 else None
