"""`explain` for text: a weight for each word, and what hiding the word changes."""

import dataclasses

import keras
import numpy as np

from attention_zoo.interpret.base import Explanation, position_weights
from attention_zoo.interpret.calls import (
    MethodError,
    by_gradient,
    class_probabilities,
    needs_weights,
    only_input,
    predict_batch,
    predict_with_attention,
)
from attention_zoo.interpret.features import Features, class_score
from attention_zoo.interpret.html import escape, shaded
from attention_zoo.interpret.methods.attention_x_gradient import (
    attention_times_gradient,
)
from attention_zoo.interpret.methods.ranks import rank_correlation
from attention_zoo.interpret.methods.through_layers import THROUGH_LAYERS
from attention_zoo.interpret.text_readers import StringReader, TokenReader
from attention_zoo.interpret.value_inputs import norms_of_last

LINE_WIDTH = 110  # characters in a line of a plot
CAPTION = "Shade: attention weight, relative to the heaviest word of the text."
SIGNED_CAPTION = (
    "Orange speaks for the predicted class, blue against it, relative to the largest."
)
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
        attributions: Array `(B, T)` of what the method says of each word: for a signed
            method above 0 where it speaks for the predicted class. None for
            `"attention"`.
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
    methods = (
        "attention",
        "rollout",
        "flow",
        "value_norm",
        "attention_x_gradient",
        "gradient",
        "gradient_x_input",
        "integrated_gradients",
        "occlusion",
    )

    @staticmethod
    def accepts(model, inputs=None):
        tensor = only_input(model, inputs)
        if tensor is None:
            return False
        ids = "int" in tensor.dtype and len(tensor.shape) == 2
        return ids or tensor.dtype == "string"

    @classmethod
    def of(cls, model, inputs, class_names=None, vocabulary=None, method="attention"):
        reads_strings = only_input(model, inputs).dtype == "string"
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
            method=method,
            rows=rows,
        )

    def __init__(self, reader, token_ids, tokens, rows=None, **kwargs):
        self.tokens = tokens
        self.known = token_ids > 1
        self._reader = reader
        self._rows = rows
        self.token_ids = token_ids
        super().__init__(model=reader.model, mask=token_ids != 0, **kwargs)

    def _attributions(self):
        if self.method == "occlusion":
            found = np.zeros(self.mask.shape, "float32")
            for b, moves in enumerate(self._moves(64)):
                found[b, : len(moves)] = moves
            return found
        weights = list(self._fitting(r.weights for r in self.records.values()))
        if self.method in THROUGH_LAYERS:
            needs_weights(self, weights)
            return THROUGH_LAYERS[self.method](weights, self.mask)
        if self.method == "value_norm":
            return self._value_norms()
        best = self.predictions.argmax(axis=-1)
        inputs = self._reader.batch(self._rows)
        features = Features(
            self.model,
            inputs,
            class_score(best),
            (keras.layers.Embedding,),
            lambda layer, ids: np.prod(ids.shape) % max(self.token_ids.size, 1) == 0,
        )
        if features.values is None:
            raise MethodError(
                f"method={self.method!r} expects a model with an `Embedding` layer, at "
                "whose output the gradient is taken. Received: "
                f"model={self.model.name!r}"
            )
        if self.method == "attention_x_gradient":
            found = features.attention_gradients(lambda _, shape: self._fits(shape))
            needs_weights(self, *found)
            layers, gradients = ([*self._fitting(arrays)] for arrays in found)
            return attention_times_gradient(layers, gradients, self.mask)
        by_word = by_gradient(self.method, features)
        return by_word.reshape(self.mask.shape) * self.mask

    def _value_norms(self):
        """Returns the norms `(B, T)` of the last layer with learned weights."""
        records = [r for r in self.records.values() if self._fits(r.weights.shape)]
        inputs = self._reader.batch(self._rows)
        norm = norms_of_last(self.model, inputs, records)
        needs_weights(self, [] if norm is None else [norm])
        if norm.shape[1] == self.mask.shape[1]:  # padding looks at nothing
            norm = norm * self.mask[:, :, None]
        return position_weights(norm) * self.mask

    def _fits(self, shape):
        """Returns whether weights of a shape are of the words, or of one more."""
        rows, length = self.mask.shape
        inner = shape[-2] if len(shape) > 2 else 1
        fits = len(shape) in (2, 3, 4) and shape[0] == rows and inner in (1, length)
        return fits and shape[-1] - length in (0, 1)

    def _fitting(self, weights):
        """Yields the weights that are of the words, without a sentinel's."""
        for one in weights:
            if self._fits(one.shape):
                yield one[..., : self.mask.shape[1]]

    def scores_of(self, layer_name=None):
        """Returns what is shown: weights of a layer, or what the method says.

        Args:
            layer_name: A key of `weights`. Defaults to `None`: `attributions`, or with
                `method="attention"` the weights of `default_layer`.

        Returns:
            An array `(B, T)`.
        """
        if self._shows_attention(layer_name):
            return self.weights_of(layer_name)
        return self.attributions

    def _part_scores(self, layer_name):
        rows = self.scores_of(layer_name)
        return [row[: len(words)] for row, words in zip(rows, self.tokens, strict=True)]

    def _part_outputs(self, index, keep, batch_size):
        best = int(np.argmax(self.predictions[index]))
        found = []
        for start in range(0, len(keep), batch_size):
            # The whole text comes along: a batch of empty texts has no length.
            part = [np.ones(keep.shape[1], bool), *keep[start : start + batch_size]]
            rows = [self._reader.keeping(self, index, row) for row in part]
            outputs = predict_batch(self.model, self._reader.batch(rows))
            found.append(class_probabilities(outputs)[1:, best])
        return np.concatenate(found)

    def _html_body(self, layer_name):
        scores, lines = self.scores_of(layer_name), []
        for b in range(len(self)):
            lines.append(f"<h2>{b + 1}. {escape(self.verdict(b))}</h2>\n<p>")
            top = max(np.abs(scores[b]).max(initial=0), 1e-12)
            lines += [
                shaded(self.word(b, t), scores[b, t], scores[b, t] / top)
                for t in range(len(self.tokens[b]))
            ]
            lines.append("</p>")
        if self._shows_attention(layer_name):
            lines.append(f"<small>{escape(CAPTION)}</small>")
        else:
            lines.append(f"<small>{escape(SIGNED_CAPTION)}</small>")
        return "\n".join(lines)

    def to_text(self, layer_name=None, max_words=10):
        """Returns the verdict on each text and its heaviest words, as plain lines.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.
            max_words: Integer, how many words of each text. Defaults to `10`.

        Returns:
            A string. Words outside the vocabulary stand in brackets.
        """
        lines = []
        sign = "" if self._shows_attention(layer_name) else "+"
        for b, weights in enumerate(self.scores_of(layer_name)):
            lines.append(f"{b + 1}. {self.verdict(b)}, {len(self.tokens[b])} words")
            weights = weights[: len(self.tokens[b])]
            sizes = np.abs(weights)
            top = max(sizes.max(initial=0), 1e-12)
            for t in np.argsort(-sizes, kind="stable")[:max_words]:
                bar = "#" * round(float(BAR_WIDTH * sizes[t] / top))
                score = f"{weights[t]:{sign}.3f}"
                lines.append(f"   {score} {bar:{BAR_WIDTH}} {self.word(b, t)}")
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

        weights = self.scores_of(layer_name)
        placed = []  # (line, column, string, shade from 0 to 1 or None)
        line = 0
        for b in range(len(self)):
            placed.append((line, 0, self.verdict(b), None))
            words = [self.word(b, t) for t in range(len(self.tokens[b]))][:max_words]
            shades = weights[b] / max(np.abs(weights[b]).max(initial=0), 1e-12)
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
                palette = colormaps["Oranges" if shade >= 0 else "Blues"]
                colour = palette(0.6 * abs(float(shade)))
                area = (column - 0.4, down - 0.42), len(string) + 0.8, 0.84
                axes.add_patch(Rectangle(*area, facecolor=colour))
        caption = CAPTION
        if not self._shows_attention(layer_name):
            caption = f"{self.method}: {SIGNED_CAPTION}"
        axes.text(0, line, caption, color="0.4", **style)
        return figure

    def occlusion(self, layer_name=None, batch_size=64):
        """Hides each word in turn, by taking it out, and predicts again.

        Attention says where the model looked; this says what the answer hung on. Where
        the two agree, the shading can be read as a reason
        ([Jain and Wallace, 2019](https://arxiv.org/abs/1902.10186)).

        Args:
            layer_name: A key of `weights`, for the correlation. Defaults to what
                `scores_of` returns.
            batch_size: Integer, texts per call of the model. Defaults to `64`.

        Returns:
            An `Occlusion`.
        """
        weights = self.scores_of(layer_name)
        moves = self._moves(batch_size)
        correlation = [
            rank_correlation(np.abs(move), np.abs(row[: len(move)]))
            for move, row in zip(moves, weights, strict=True)
        ]
        return Occlusion(moves, np.asarray(correlation))

    def _moves(self, batch_size):
        """Returns by how much the probability falls without each word, a list."""
        return [
            self._moves_of_parts(b, len(words), batch_size)
            for b, words in enumerate(self.tokens)
        ]


def _wrap(words):
    """Yields the line and the column of each word in lines of `LINE_WIDTH`."""
    line = column = 0
    for word in words:
        if column and column + len(word) > LINE_WIDTH:
            line, column = line + 1, 0
        yield line, column
        column += len(word) + 1
