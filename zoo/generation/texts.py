"""Texts through a saved translator: results with scores, subwords and alignments."""

import dataclasses
import functools

import keras
import numpy as np
from keras import ops

from attention_zoo.generation.tokenizers import END_ID, SPECIALS, UNKNOWN_ID, join_words
from attention_zoo.generation.translator import SEARCHES, Translator
from attention_zoo.layers.core.validation import check_positive_integer

PARTS = ("tokenizer", "translator", "detokenizer")  # names of layers
MOST_ROWS = 2048  # beams of all texts that are computed together


@dataclasses.dataclass(frozen=True)
class Translation:
    """What a search found for one text: `R` results from best to worst.

    Subwords are strings, with `"▁"` for the space before a word. An unknown one is the
    word of the source that it stands for. The end of a sentence is `"[END]"`.

    Attributes:
        texts: List of R strings.
        scores: List of R floats, as the search orders by.
        source: List of the S subwords of the source.
        source_ids: Array `(S,)` of their ids; 1 is unknown.
        length: Integer, how many subwords the source has without the cut at the
            tokenizer's `max_length`, the end not counted.
        targets: List of R lists of T subwords.
        target_ids: List of R arrays `(T,)` of their ids.
        alignments: List of R arrays `(T, S)`: what each step looked at.
    """

    texts: list
    scores: list
    source: list
    source_ids: np.ndarray
    length: int
    targets: list
    target_ids: list
    alignments: list

    @property
    def read(self):
        """How many subwords were read: fewer than `length` where the text was cut."""
        return int((self.source_ids != END_ID).sum())

    @property
    def knows_any(self):
        """Whether any subword of the source is in the vocabulary."""
        return bool(np.isin(self.source_ids, (UNKNOWN_ID, END_ID), invert=True).any())


def translate_texts(
    model, texts, beam_size=None, num_best=None, search=None, batch_size=64
):
    """Translates texts with a model from raw strings to strings.

    Args:
        model: A `keras.Model` with a `SubwordTokenizer`, a `Translator` and a
            `SubwordDetokenizer`, named `"tokenizer"`, `"translator"` and
            `"detokenizer"`.
        texts: List of strings, or one.
        beam_size: Integer, instead of that of the model's own search. Defaults to
            `None`.
        num_best: Integer, the number of results for each text. Defaults to `None`: as
            many as the model's own search gives, one.
        search: String or dict, the argument of `Translator`, instead of the model's own
            search. Defaults to `None`.
        batch_size: Integer, the number of texts of similar length that are translated
            together; fewer with a large beam. Defaults to `64`.

    Returns:
        List of a `Translation` for each text, in their order.

    Raises:
        ValueError: If the model is not a translator, or if an argument is invalid.

    Example:

    ```python
    model = attention_zoo.load("rnn_translator_dates")
    (found,) = attention_zoo.translate_texts(model, ["3 May 1997"], num_best=2)
    assert found.texts[0] == "1997-05-03"
    assert len(found.scores) == 2
    assert found.alignments[0].shape == (len(found.targets[0]), len(found.source))
    ```
    """
    return TextTranslator(model, beam_size, num_best, search, batch_size)(texts)


class TextTranslator:
    """`translate_texts` as a function of the texts, which keeps its graph.

    Args:
        model, beam_size, num_best, search, batch_size: The arguments of
            `translate_texts`.
    """

    def __init__(
        self, model, beam_size=None, num_best=None, search=None, batch_size=64
    ):
        check_positive_integer("translate_texts", batch_size=batch_size)
        parts = parts_of(model)
        own = parts.translator
        search = change_search(search or own.search, beam_size, num_best)
        translator = Translator(
            own.core, search, own.max_length, own.start_id, own.end_id
        )
        self.parts = dataclasses.replace(parts, translator=translator)
        self.batch_size = min(batch_size, max(1, MOST_ROWS // beams_of(search)))
        text = keras.Input((), dtype="string", name="text")
        ids, words = parts.tokenizer(text, return_words=True)
        self._graph = keras.Model(text, [ids, words, *translator(ids)])
        self._graph.jit_compile = False  # XLA knows no strings

    def __call__(self, texts):
        texts = _in_utf8(texts)
        found: list = [None] * len(texts)
        order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(texts), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = [texts[i] for i in rows]
            ids, words, *outputs = self._graph.predict_on_batch(
                ops.convert_to_tensor(batch)
            )
            read = Read(ids, words, self.parts.lengths(batch, ids))
            for i, result in zip(rows, self.parts.results(read, outputs), strict=True):
                found[i] = result
        return found


def change_search(search, beam_size=None, num_best=None):
    """Returns a search with another beam; one of another kind becomes a beam search.

    Args:
        search: The argument of `Translator`.
        beam_size, num_best: Integers, or None for what `search` has.
    """
    if beam_size is None and num_best is None:
        return search
    config = {"name": search} if isinstance(search, str) else dict(search)
    if config.get("name") in SEARCHES and config["name"] != "beam":
        config = {"name": "beam"}
    given = {"beam_size": beam_size, "num_best": num_best}
    return config | {key: value for key, value in given.items() if value is not None}


def beams_of(search):
    """Returns how many rows a text has in a search."""
    config = {"name": search} if isinstance(search, str) else search
    if config.get("name") == "beam":
        return config.get("beam_size", 5)
    return config.get("num_samples", 1)


# === The parts of a model ===


def is_translator(model):
    """Returns whether a model holds the three layers of a translator."""
    layers = {layer.name: layer for layer in getattr(model, "layers", [])}
    return set(PARTS) <= set(layers) and isinstance(layers["translator"], Translator)


def parts_of(model):
    """Returns the `Parts` of a translator, or raises `ValueError`."""
    if not is_translator(model):
        raise ValueError(
            f"Expected a translator, a model with layers named {PARTS}. "
            f"Received: model={getattr(model, 'name', model)!r}"
        )
    return Parts(*map(model.get_layer, PARTS))


@dataclasses.dataclass(frozen=True)
class Read:
    """Texts as a tokenizer read them.

    Args:
        ids: Integer array `(B, S)`.
        words: Array `(B, S)` of bytes, the words of the ids.
        lengths: Integer array `(B,)`, subwords without the cut and the end.
    """

    ids: np.ndarray
    words: np.ndarray
    lengths: np.ndarray


class _Lengths(keras.layers.Layer):
    """From texts to how many ids they have without the cut."""

    def __init__(self, tokenizer):
        super().__init__()
        self.tokenizer = tokenizer
        self._convert_input_args = False  # strings stay what they are

    def call(self, text):
        return self.tokenizer.lengths(text)

    def compute_output_spec(self, text):
        return keras.KerasTensor(text.shape, dtype="int64")


@dataclasses.dataclass(frozen=True)
class Parts:
    """The layers of a translator, and what they make of texts together."""

    tokenizer: keras.layers.Layer
    translator: Translator
    detokenizer: keras.layers.Layer

    @functools.cached_property
    def _source_pieces(self):
        return np.array([*SPECIALS, *self.tokenizer.vocabulary], dtype=object)

    def read(self, texts):
        """Returns the `Read` of a list of texts, or of one."""
        texts = _in_utf8(texts)
        batch = ops.convert_to_tensor(texts)
        read = self.tokenizer(batch, return_words=True)
        ids, words = map(ops.convert_to_numpy, read)
        return Read(ids, words, self.lengths(texts, ids))

    def lengths(self, texts, ids):
        """Returns how many subwords texts have without the cut, the end not counted.

        Args:
            texts: List of B texts in UTF-8.
            ids: Array `(B, S)` of their ids.
        """
        lengths = (ids != 0).sum(axis=-1)
        full = np.flatnonzero(lengths >= self.tokenizer.max_length)
        if len(full):  # the others are not cut
            batch = ops.convert_to_tensor([texts[i] for i in full])
            lengths[full] = self._lengths.predict_on_batch(batch)
        return lengths - int(self.tokenizer.end)

    @functools.cached_property
    def _lengths(self):
        """A model, since a tokenizer is slow outside a graph where words are long."""
        text = keras.Input((), dtype="string", name="text")
        model = keras.Model(text, _Lengths(self.tokenizer)(text))
        model.jit_compile = False
        return model

    def results(self, read, outputs):
        """Returns a `Translation` for each text.

        Args:
            read: The `Read` of B texts.
            outputs: Tokens `(B, R, T)`, scores `(B, R)` and alignment `(B, R, T, S)`,
                as the translator gives them.
        """
        tokens, scores, alignment = map(ops.convert_to_numpy, outputs)
        words = _decoded(read.words)
        pieces = _decoded(ops.convert_to_numpy(self.detokenizer.pieces(tokens)))
        looked = alignment.argmax(axis=-1)  # (B, R, T)
        copied = words[np.arange(len(words))[:, None, None], looked]
        pieces = np.where(tokens == UNKNOWN_ID, copied, pieces)
        joined = _decoded(ops.convert_to_numpy(join_words(pieces.tolist())))
        pieces = np.where(tokens == self.translator.end_id, "[END]", pieces)
        source = np.where(read.ids == UNKNOWN_ID, words, self._source_pieces[read.ids])
        found = []
        for b, size in enumerate((read.ids != 0).sum(axis=-1)):
            kept = [r for r in range(len(scores[b])) if np.isfinite(scores[b, r])]
            ends = {r: int((tokens[b, r] != 0).sum()) for r in kept}
            found.append(
                Translation(
                    texts=[joined[b, r] for r in kept],
                    scores=[float(scores[b, r]) for r in kept],
                    source=source[b, :size].tolist(),
                    source_ids=read.ids[b, :size],
                    length=int(read.lengths[b]),
                    targets=[pieces[b, r, : ends[r]].tolist() for r in kept],
                    target_ids=[tokens[b, r, : ends[r]] for r in kept],
                    alignments=[alignment[b, r, : ends[r], :size] for r in kept],
                )
            )
        return found


def _in_utf8(texts):
    """Returns texts, or one, as a list of bytes."""
    texts = [texts] if isinstance(texts, (str, bytes)) else texts
    return [
        t if isinstance(t, bytes) else str(t).encode("utf-8", "replace") for t in texts
    ]


def _decoded(strings):
    """Returns an array of bytes in UTF-8 as one of strings."""
    flat = [s.decode("utf-8", "replace") for s in strings.ravel()]
    return np.array(flat, dtype=object).reshape(strings.shape)
