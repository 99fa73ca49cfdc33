"""Reads texts as a model does: words beside the token ids that it gets."""

import keras
import numpy as np

from attention_zoo.interpret.features import all_layers


class StringReader:
    """Reads raw strings as the `TextVectorization` layer inside a model does."""

    def __init__(self, model):
        self.model = model
        found = [
            layer
            for layer in all_layers(model)
            if isinstance(layer, keras.layers.TextVectorization)
        ]
        if len(found) != 1:
            raise ValueError(
                "`explain` expects a model that takes strings to hold one "
                f"`TextVectorization` layer. Received: {len(found)} of them"
            )
        (self.vectorizer,) = found
        self.front = _front(model) or self.vectorizer

    def rows(self, inputs):
        """Returns the inputs as a list of strings."""
        inputs = [inputs] if isinstance(inputs, (str, bytes)) else list(inputs)
        return [
            t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t)
            for t in inputs
        ]

    def batch(self, rows):
        """Returns a list of strings as the model takes it."""
        return keras.ops.convert_to_tensor(rows)

    def read(self, rows):
        """Returns the token ids `(B, T)` of strings and the words they stand for."""
        token_ids = keras.ops.convert_to_numpy(self.front(self.batch(rows)))
        config = self.vectorizer.get_config()
        # A second vectorizer that learns these texts alone knows every word of them,
        # also those outside the model's vocabulary, and splits exactly alike.
        speller = keras.layers.TextVectorization(
            **{k: config[k] for k in ("standardize", "split", "ngrams", "encoding")}
        )
        speller.adapt([*rows, "a"])
        words = np.asarray(speller.get_vocabulary())[
            keras.ops.convert_to_numpy(speller(self.batch(rows)))
        ]
        lengths = (token_ids != 0).sum(axis=-1)
        return token_ids, [w[:n].tolist() for w, n in zip(words, lengths, strict=True)]

    def keeping(self, explanation, b, keep):
        """Returns text `b` as a string of the words that a boolean array `keep` has."""
        words = explanation.tokens[b]
        return " ".join(word for word, stays in zip(words, keep, strict=True) if stays)


class TokenReader:
    """Reads token ids `(B, T)` with 0 as padding."""

    def __init__(self, model, vocabulary=None):
        self.model = model
        self.vocabulary = vocabulary

    def rows(self, inputs):
        """Returns the inputs as an integer array `(B, T)`."""
        rows = np.asarray(inputs)
        if rows.ndim != 2 or rows.dtype.kind not in "iu":
            raise ValueError(
                "`explain` expects the inputs of a token model as integers (B, T). "
                f"Received: inputs of dtype {rows.dtype} and shape {rows.shape}"
            )
        if ((rows[:, :-1] == 0) & (rows[:, 1:] != 0)).any():
            raise ValueError(
                "`explain` expects padding, token id 0, behind the words only. "
                f"Received: inputs={rows.tolist()}"
            )
        return rows

    def batch(self, rows):
        """Returns rows of token ids as the model takes them."""
        return keras.ops.convert_to_tensor(np.asarray(rows), dtype="int32")

    def read(self, rows):
        """Returns the token ids and the words they stand for."""
        words = self.vocabulary
        tokens = [[str(i) if words is None else words[i] for i in r if i] for r in rows]
        return rows, tokens

    def keeping(self, explanation, b, keep):
        """Returns row `b` of the tokens that `keep` has; they move up."""
        row = explanation.token_ids[b]
        kept = row[: len(keep)][keep]
        return np.append(kept, np.zeros(len(row) - len(kept), row.dtype))


def _front(model):
    """Returns the part of a model from strings to token ids, or None.

    A model may crop or pad the ids behind its `TextVectorization`: the last integers
    `(B, T)` of the graph are what the embedding gets.
    """
    if not all(hasattr(model, name) for name in ("operations", "inputs")):
        return None
    token_ids = None
    for operation in model.operations:
        if not isinstance(operation, keras.Model):  # its own graph is another one
            for tensor in keras.tree.flatten(operation.output):
                if "int" in tensor.dtype and len(tensor.shape) == 2:
                    token_ids = tensor
    return None if token_ids is None else keras.Model(model.inputs, token_ids)
