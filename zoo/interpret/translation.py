"""`explain` for translators: what each subword of a translation was made from."""

import unicodedata

import numpy as np

from attention_zoo.generation.texts import is_translator, parts_of
from attention_zoo.generation.tokenizers import END_ID, SPACE, UNKNOWN_ID
from attention_zoo.interpret.base import Explanation
from attention_zoo.interpret.calls import NoAttentionError
from attention_zoo.layers import record_attention
from attention_zoo.layers.core.recording import AttentionRecord

MOST_DRAWN = 4  # texts in a picture
CELL = 0.28  # inches of a subword in a picture


class TranslationExplanation(Explanation):
    """An `Explanation` of a translator, with `S` source and `T` target subwords.

    Attributes:
        predictions: List of B strings, the best translations.
        weights: Dict from the translator's name to an array `(B, T, S)`: how much the
            step of target subword `t` looked at source subword `s`. Padding has none.
        translations: List of B `Translation`s.
        source, target: Lists of B lists of subwords as they are shown: without the
            mark of spaces, unknown words in brackets, the sentence's end as `"[END]"`.

    Example:

    ```python
    model = attention_zoo.load("rnn_translator_dates")
    explanation = attention_zoo.explain(model, ["3 May 1997"])
    assert explanation.predictions == ["1997-05-03"]
    print(explanation)  # each word with the source word that it looked at most
    ```
    """

    needs = "weights of the source for each step of a translation"

    takes = "raw strings to translate"

    @staticmethod
    def accepts(model, inputs=None):
        return is_translator(model)

    @classmethod
    def of(cls, model, inputs, class_names=None, vocabulary=None, method="attention"):
        del class_names, vocabulary, method  # neither classes nor foreign ids
        parts = parts_of(model)
        read = parts.read(inputs)
        with record_attention() as calls:
            outputs = parts.translator(read.ids)
        records = {
            call.layer_name: AttentionRecord(call.layer_name, call.layer, call.weights)
            for call in calls
        }
        translations = parts.results(read, outputs)
        return cls(model, translations, records, read.ids != 0)

    def __init__(self, model, translations, records, mask):
        self.translations = translations
        self.source = [_shown(t.source, t.source_ids) for t in translations]
        self.target = [
            _shown(t.targets[0], t.target_ids[0]) if t.targets else []
            for t in translations
        ]
        predictions = [t.texts[0] if t.texts else "" for t in translations]
        super().__init__(model, predictions, records, mask)

    def _named_weights(self):
        steps = max(map(len, self.target), default=0)
        weights = np.zeros((len(self.mask), steps, self.mask.shape[1]), "float32")
        for b, translation in enumerate(self.translations):
            if self.target[b]:
                rows, columns = translation.alignments[0].shape
                weights[b, :rows, :columns] = translation.alignments[0]
        if self.mask.any() and steps and not weights.any():
            raise NoAttentionError(
                f"`explain` needs {self.needs}, and a translator without attention has "
                f"none. Received: model={self.model.name!r}"
            )
        return {name: weights for name in self.records}

    def verdict(self, index):
        """Returns the best translation of one text and its score as a string."""
        scores = self.translations[index].scores
        return f"{self.predictions[index]} ({scores[0] if scores else -np.inf:.3f})"

    def words(self, index, layer_name=None):
        """Returns what each word of a translation looked at most.

        The weight of a source word is the sum over its subwords, and the mean over
        those of the target word.

        Args:
            index: Integer, which text.
            layer_name: A key of `weights`. Defaults to `default_layer`.

        Returns:
            List of the target word, the source word and its weight.
        """
        weights = self.weights_of(layer_name)[index]
        translation = self.translations[index]
        if not translation.targets:
            return []
        sources = word_places(translation.source, translation.source_ids)
        targets = word_places(translation.targets[0], translation.target_ids[0])
        found = []
        for places in targets:
            if translation.target_ids[0][places[0]] == END_ID:
                continue
            mean = weights[places].mean(axis=0)
            sums = [float(mean[columns].sum()) for columns in sources]
            best = int(np.argmax(sums))
            word = _joined(self.target[index], places)
            looked = _joined(self.source[index], sources[best])
            found.append((word, looked, sums[best]))
        return found

    def to_text(self, layer_name=None):
        """Returns each translation, and for its words the source word, as plain lines.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.

        Returns:
            A string. Words outside the vocabulary stand in brackets.
        """
        lines = []
        for b in range(len(self)):
            lines.append(f"{b + 1}. {self.verdict(b)}")
            rows = self.words(b, layer_name)
            width = max((len(word) for word, _, _ in rows), default=0)
            for word, looked, weight in rows:
                lines.append(f"   {weight:.3f} {word:{width}} <- {looked}")
        return "\n".join(lines)

    def plot(self, layer_name=None, max_inputs=MOST_DRAWN):
        """Draws the alignment of each text: a row for each subword of the translation.

        Args:
            layer_name: A key of `weights`. Defaults to `default_layer`.
            max_inputs: Integer, how many texts. Defaults to `4`.

        Returns:
            A matplotlib `Figure`.
        """
        from matplotlib.figure import Figure

        weights = self.weights_of(layer_name)
        shown = range(min(len(self), max_inputs))
        heights = [max(1, len(self.target[b])) + 6 for b in shown]
        widest = max((len(self.source[b]) for b in shown), default=1)
        figure = Figure(
            figsize=(max(5.0, CELL * widest + 2.2), CELL * sum(heights) + 0.3),
            layout="constrained",
        )
        grid = figure.subplots(len(heights), squeeze=False, height_ratios=heights)
        for b, axes in zip(shown, grid[:, 0], strict=True):
            rows, columns = max(1, len(self.target[b])), len(self.source[b])
            image = axes.imshow(
                weights[b, :rows, : max(1, columns)],
                cmap="Oranges",
                interpolation="nearest",
                vmin=0,
                vmax=1,
            )
            axes.set_anchor("W")
            style: dict = {"fontsize": 8, "parse_math": False}
            axes.xaxis.tick_top()
            axes.set_xticks(range(columns), self.source[b], rotation=60, **style)
            for label in axes.get_xticklabels():
                label.set(ha="left", rotation_mode="anchor")
            axes.set_yticks(range(len(self.target[b])), self.target[b], **style)
            axes.tick_params(length=0)
            title = self.verdict(b)
            axes.set_xlabel(title, loc="left", fontsize=9, wrap=True, parse_math=False)
        shrink = min(1, 8 / sum(heights))
        figure.colorbar(image, ax=grid[:, 0].tolist(), shrink=shrink, panchor=False)
        return figure


def word_places(pieces, ids):
    """Returns the places of the subwords of each word, a list of lists.

    Args:
        pieces: List of subwords, with `"▁"` for the space before a word.
        ids: Their ids: an unknown one is a whole word.
    """
    words: list = []
    before = None
    for place, (piece, token) in enumerate(zip(pieces, ids, strict=True)):
        whole = token <= END_ID  # the special ones, and unknown words
        goes_on = (
            before is not None
            and not whole
            and not piece.startswith(SPACE)
            and (before == SPACE or (_letter(before[-1:]) and _letter(piece[:1])))
        )
        if goes_on:
            words[-1].append(place)
        else:
            words.append([place])
        before = None if whole else piece
    return words


def _letter(character):
    """Returns whether it is a letter, or a mark on one: words are made of them."""
    return bool(character) and unicodedata.category(character)[0] in "LM"


def _joined(shown, places):
    """Returns the word of some subwords; one of them may be a space alone."""
    word = "".join(shown[place] for place in places)
    return word.replace(SPACE, "") or SPACE


def _shown(pieces, ids):
    """Returns subwords as they are shown."""
    shown = [piece.replace(SPACE, "") or SPACE for piece in pieces]
    return [
        f"[{piece}]" if token == UNKNOWN_ID else piece
        for piece, token in zip(shown, ids, strict=True)
    ]
