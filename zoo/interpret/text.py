"""`explain` for text: a weight for each word, and what hiding the word changes."""

import dataclasses

import keras
import numpy as np

from attention_zoo.interpret.base import (
    Explanation,
    class_probabilities,
    only_input,
    predict_with_attention,
)

LINE_WIDTH = 110  # characters in a line of a plot
CAPTION = "Shade: attention weight, relative to the heaviest word of the text."
BAR_WIDTH = 20  # characters in a bar of `to_text`


@dataclasses.dataclass(frozen=True)
class Occlusion:
    """What hiding one word at a time does to the predicted probability.

    Args:
        moves: List with an array `(number of words,)` for each text: the predicted
            class's probability with all words, less its probability without the word.
            Above zero the word spoke for the class, below zero against it.
        rank_correlation: Array `(B,)`: Spearman's correlation, over the words of a
            text, of the size of the move with the attention weight. NaN where either
            is the same for all words.
    """

    moves: list
    rank_correlation: np.ndarray


class TextExplanation(Explanation):
    """An `Explanation` of a text model: positions are words.

    Attributes:
        tokens: List with a list of words for each text, as the model reads them:
            standardised and cut to its length. Word `t` has the weight
            `weights[layer][b, t]`.
        token_ids: Integer array `(B, T)`, 0 where there is padding.
        known: Boolean array `(B, T)`, False for words outside the vocabulary
            and for padding.

    Example:

    ```python
    model = attention_zoo.create("attention_lstm", vocabulary_size=7, units=2)
    explanation = attention_zoo.explain(model, np.array([[2, 3, 1], [4, 0, 0]]))
    assert explanation.tokens == [["2", "3", "1"], ["4"]]
    assert explanation.word(0, 2) == "[1]"  # 1 is outside the vocabulary
    assert explanation.occlusion().moves[0].shape == (3,)
    ```
    """

    takes = "raw strings, token ids (B, T)"

    @staticmethod
    def accepts(model):
        tensor = only_input(model)
        if tensor is None:
            return False
        ids = "int" in tensor.dtype and len(tensor.shape) == 2
        return ids or tensor.dtype == "string"

    @classmethod
    def of(cls, model, inputs, class_names=None, vocabulary=None):
        reads_strings = model.inputs[0].dtype == "string"
        reader = (
            StringReader(model) if reads_strings else TokenReader(model, vocabulary)
        )
        rows = reader.rows(inputs)
        token_ids, tokens = reader.read(rows)
        predictions, records = predict_with_attention(model, reader.batch(rows))
        return cls(
            reader,
            token_ids,
            tokens,
            predictions=predictions,
            records=records,
            class_names=class_names,
        )

    def __init__(self, reader, token_ids, tokens, **kwargs):
        super().__init__(model=reader.model, mask=token_ids != 0, **kwargs)
        self.tokens = tokens
        self.known = token_ids > 1
        self._reader = reader
        self.token_ids = token_ids

    def to_text(self, layer_name=None, max_words=10):
        """Returns the verdict on each text and its heaviest words, as plain lines.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.
            max_words: Integer, how many words of each text. Defaults to `10`.

        Returns:
            A string. Words outside the vocabulary stand in brackets.
        """
        lines = []
        for b, weights in enumerate(self.weights_of(layer_name)):
            lines.append(f"{b + 1}. {self.verdict(b)}, {len(self.tokens[b])} words")
            weights = weights[: len(self.tokens[b])]
            top = max(weights.max(initial=0), 1e-12)
            for t in np.argsort(-weights, kind="stable")[:max_words]:
                bar = "#" * round(float(BAR_WIDTH * weights[t] / top))
                lines.append(f"   {weights[t]:.3f} {bar:{BAR_WIDTH}} {self.word(b, t)}")
        return "\n".join(lines)

    def word(self, b, t):
        """Returns word `t` of text `b`, in brackets when the model does not know it."""
        word = self.tokens[b][t]
        return word if self.known[b, t] else f"[{word}]"

    def plot(self, layer_name=None, max_words=300):
        """Draws the texts with every word shaded by its weight.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.
            max_words: Integer, where a long text is cut in the picture. Defaults
                to `300`.

        Returns:
            A matplotlib `Figure`; `figure.savefig("attention.png")` writes it.
        """
        from matplotlib import colormaps
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

        weights = self.weights_of(layer_name)
        placed = []  # (line, column, string, shade from 0 to 1 or None)
        line = 0
        for b in range(len(self)):
            placed.append((line, 0, self.verdict(b), None))
            words = [self.word(b, t) for t in range(len(self.tokens[b]))][:max_words]
            shades = weights[b] / max(weights[b].max(initial=0), 1e-12)
            for t, (down, column) in enumerate(_wrap(words)):
                placed.append((line + 1 + down, column, words[t], shades[t]))
            line = placed[-1][0] + 2
        width, height = 10, 0.22 * (line + 1.5)  # inches
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0.02, 0, 0.96, 1))
        axes.set(xlim=(0, LINE_WIDTH), ylim=(line + 0.5, -1))
        axes.set_axis_off()
        # The letters of matplotlib's monospaced font are 0.602 of its size wide.
        size = 0.96 * width * 72 / LINE_WIDTH / 0.602
        style: dict = {"family": "monospace", "size": size, "va": "center_baseline"}
        for down, column, string, shade in placed:
            bold = "bold" if shade is None else "normal"
            axes.text(column, down, string, parse_math=False, weight=bold, **style)
            if shade is not None:
                # Three fifths of the palette: its dark end would hide black letters.
                colour = colormaps["Oranges"](0.6 * float(shade))
                area = (column - 0.4, down - 0.42), len(string) + 0.8, 0.84
                axes.add_patch(Rectangle(*area, facecolor=colour))
        axes.text(0, line, CAPTION, color="0.4", **style)
        return figure

    def occlusion(self, layer_name=None, batch_size=64):
        """Hides each word in turn, by taking it out, and predicts again.

        Attention says where the model looked; this says what the answer hung on. Where
        the two agree, the shading can be read as a reason
        ([Jain and Wallace, 2019](https://arxiv.org/abs/1902.10186)).

        Args:
            layer_name: A key of `weights`, for the correlation. Defaults to
                `default_layer`.
            batch_size: Integer, texts per call of the model. Defaults to `64`.

        Returns:
            An `Occlusion`.
        """
        weights = self.weights_of(layer_name)
        moves = []
        for b, words in enumerate(self.tokens):
            best = int(np.argmax(self.predictions[b]))
            move = np.zeros(len(words), dtype="float32")
            for start in range(0, len(words), batch_size):
                hidden = range(start, min(start + batch_size, len(words)))
                # The whole text comes along: a batch of empty texts has no length.
                rows = [self._reader.without(self, b, t) for t in (None, *hidden)]
                outputs = self.model.predict_on_batch(self._reader.batch(rows))
                whole, *rest = class_probabilities(outputs)[:, best]
                move[start : hidden.stop] = whole - np.asarray(rest)
            moves.append(move)
        correlation = [
            rank_correlation(np.abs(move), row[: len(move)])
            for move, row in zip(moves, weights, strict=True)
        ]
        return Occlusion(moves, np.asarray(correlation))


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

    def without(self, explanation, b, t):
        """Returns text `b` as a string that lacks its word `t`, if any."""
        words = explanation.tokens[b]
        return " ".join(word for i, word in enumerate(words) if i != t)


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

    def without(self, explanation, b, t):
        """Returns row `b` without its token `t`, if any; the rest moves up."""
        row = explanation.token_ids[b]
        return row if t is None else np.append(np.delete(row, t), 0)


def rank_correlation(a, b):
    """Returns Spearman's rank correlation of two vectors, NaN where one is constant.

    Args:
        a: Array `(n,)`.
        b: Array `(n,)`.

    Returns:
        A float in `[-1, 1]`, or NaN.
    """
    if len(a) < 2:
        return float("nan")
    a, b = _ranks(a), _ranks(b)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


def _ranks(values):
    """Returns the rank of each value; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


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


def all_layers(model):
    """Yields every layer of a model, those of nested models too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def _wrap(words):
    """Yields the line and the column of each word in lines of `LINE_WIDTH`."""
    line = column = 0
    for word in words:
        if column and column + len(word) > LINE_WIDTH:
            line, column = line + 1, 0
        yield line, column
        column += len(word) + 1
