"""Subwords inside a saved model: sentences to ids, and results back to sentences.

Strings exist in TensorFlow alone, so this one file of the zoo asks for it, and only
when a sentence comes. Nothing but plain TensorFlow is needed when a SavedModel serves.
"""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_positive_integer

SPACE = "▁"  # stands for the space before a word, as in SentencePiece
SPECIALS = ("", "[UNK]", "[START]", "[END]")  # ids 0 to 3: padding, unknown, ...
UNKNOWN_ID, START_ID, END_ID = 1, 2, 3

# Letters stay together; digits and all other signs stand alone.
_WORD = rf"{SPACE}?[\p{{L}}\p{{M}}]+|{SPACE}?[^\p{{L}}\p{{M}}{SPACE}]|{SPACE}"


def split_words(text):
    """Returns raw sentences `(B,)` as a ragged tensor of words `(B, None)`.

    Runs of white space and control characters count as one space. `"A dog, running"`
    becomes `["▁A", "▁dog", ",", "▁running"]`: joined, the words are the sentence.
    """
    import tensorflow as tf

    text = tf.strings.regex_replace(text, r"[\p{C}\p{Z}]+", " ")
    text = tf.strings.regex_replace(tf.strings.strip(text), f"[ {SPACE}]+", SPACE)
    text = tf.where(text == "", text, SPACE + text)
    text = tf.strings.regex_replace(text, f"({_WORD})", r"\1 ")
    return tf.strings.split(text)


def join_words(words):
    """Returns the sentences `(...)` that words or subwords `(..., T)` make."""
    import tensorflow as tf

    text = tf.strings.reduce_join(words, axis=-1)
    return tf.strings.strip(tf.strings.regex_replace(text, SPACE, " "))


class _Vocabulary(keras.layers.Layer):
    """What both layers have: the list of subwords.

    Args:
        vocabulary: List of strings, without the four special ones.
    """

    def __init__(self, vocabulary, **kwargs):
        super().__init__(**{"trainable": False, **kwargs})
        vocabulary = list(vocabulary)
        odd = [x for x in vocabulary if not isinstance(x, str) or x in SPECIALS]
        if odd or len(set(vocabulary)) < len(vocabulary):
            raise ValueError(
                f"`{type(self).__name__}` expects a `vocabulary` of different strings, "
                f"none of them among {SPECIALS}. Received: {len(vocabulary)} items"
                + (f", among them {odd[0]!r}" if odd else ", some of them twice")
            )
        self.vocabulary = vocabulary
        self._convert_input_args = False  # strings stay what they are

    @property
    def vocabulary_size(self):
        """How many ids there are, the four special ones included."""
        return len(SPECIALS) + len(self.vocabulary)

    def get_config(self):
        return {**super().get_config(), "vocabulary": self.vocabulary}


@keras.saving.register_keras_serializable("attention_zoo")
class SubwordTokenizer(_Vocabulary):
    """Turns raw sentences into ids of subwords.

    Words are split as `split_words` does, and each into the longest subwords that the
    vocabulary has, from its start on (WordPiece's way, here without a mark inside
    words: a subword that begins a word begins with `"▁"`). A word that cannot be split
    is one unknown id.

    Args:
        vocabulary: List of strings, the subwords. Their ids start at 4: 0 is padding, 1
            an unknown word, 2 and 3 start and end of a sentence.
        max_length: Integer, the maximum number of ids of a sentence; the rest is cut
            off. Defaults to `64`.
        end: Boolean. Whether each sentence ends with the end token. Defaults to
            `False`.
        **kwargs: Other arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        text: String tensor of shape `(B,)`, UTF-8.
        return_words: Boolean. Whether to return the words as well. Defaults to `False`.

    Returns:
        int32 ids `(B, T)`, 0 after the last; `T` is at least 1. With `return_words`
        also the word that each id is of, strings `(B, T)`.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    tokenizer = attention_zoo.SubwordTokenizer(["▁a", "▁do", "g"], end=True)
    token_ids = tokenizer(ops.convert_to_tensor(["a dog", "a cat"]))
    assert token_ids.numpy().tolist() == [[4, 5, 6, 3], [4, 1, 3, 0]]
    ```

    References:
        - [Wu et al., 2016](https://arxiv.org/abs/1609.08144)
    """

    def __init__(self, vocabulary, max_length=64, end=False, **kwargs):
        super().__init__(vocabulary, **kwargs)
        check_positive_integer(type(self).__name__, max_length=max_length)
        self.max_length = max_length
        self.end = end
        self._longest = max(map(len, self.vocabulary), default=1)
        self._lookup = keras.layers.StringLookup(
            vocabulary=[SPECIALS[UNKNOWN_ID], *self.vocabulary],
            oov_token=SPECIALS[UNKNOWN_ID],
            name="lookup",
        )

    def build(self, text_shape=None):
        self.built = True

    def call(self, text, return_words=False):
        ids, words = self._tokenize(text)
        return (ids, words) if return_words else ids

    def lengths(self, text):
        """Returns how many ids each sentence has without the cut, integers `(B,)`."""
        ids, _ = self._subwords(text)
        return ids.row_lengths() + int(self.end)

    def _tokenize(self, text):
        import tensorflow as tf

        ids, words = self._subwords(text)
        most = self.max_length - int(self.end)
        ids, words = ids[:, :most], words[:, :most]
        if self.end:
            last = tf.fill((ids.nrows(), 1), END_ID)
            ids = tf.concat([ids, last], axis=1)
            words = tf.concat([words, tf.fill((words.nrows(), 1), "")], axis=1)
        ids, words = ids.to_tensor(), words.to_tensor("")
        missing = tf.maximum(1 - tf.shape(ids)[1], 0)  # where all texts are empty
        room = [[0, 0], [0, missing]]
        return tf.pad(ids, room), tf.pad(words, room, constant_values="")

    def _subwords(self, text):
        """Returns ids and their words, ragged `(B, None)`."""
        import tensorflow as tf

        words = split_words(text)
        unique, where = tf.unique(words.flat_values)
        found = tf.gather(self._split(unique), where)  # (words, None) of the texts
        each = tf.repeat(words.flat_values, found.row_lengths())
        rows = tf.RaggedTensor.from_nested_row_splits
        nested = [words.row_splits, found.row_splits]
        ids = rows(found.flat_values, nested).merge_dims(1, 2)
        return ids, rows(each, nested).merge_dims(1, 2)

    def _split(self, words):
        """Returns the ids of different words `(W,)`, ragged `(W, None)`."""
        import tensorflow as tf

        lengths = tf.strings.length(words, unit="UTF8_CHAR")
        sizes = tf.range(1, self._longest + 1)

        def unfinished(place, failed, step, rows):
            return tf.reduce_any(place < lengths)

        def advance(place, failed, step, rows):
            active = place < lengths
            start = tf.where(active, place, 0)
            pieces = tf.strings.substr(
                tf.repeat(words[:, None], self._longest, axis=1),
                tf.repeat(start[:, None], self._longest, axis=1),
                tf.broadcast_to(sizes, (tf.size(words), self._longest)),
                unit="UTF8_CHAR",
            )
            ids = tf.cast(self._lookup(pieces), "int32")  # 0 is what is not there
            inside = start[:, None] + sizes <= lengths[:, None]
            fits = tf.where((ids > 0) & inside, sizes, 0)
            size = tf.reduce_max(fits, axis=-1)
            chosen = tf.gather(ids, tf.maximum(size, 1) - 1, batch_dims=1)
            lost = active & (size == 0)
            chosen = tf.where(active & ~lost, chosen + len(SPECIALS) - 1, -1)
            place = tf.where(lost, lengths, start + size)
            place = tf.where(active, place, lengths)
            return place, failed | lost, step + 1, rows.write(step, chosen)

        rows = tf.TensorArray("int32", 0, dynamic_size=True, element_shape=(None,))
        # So that there is one to stack.
        rows = rows.write(0, tf.fill(tf.shape(words), -1))
        none = tf.zeros_like(words, dtype="bool")
        start = (tf.zeros_like(lengths), none, 1, rows)
        _, failed, _, rows = tf.while_loop(unfinished, advance, start)
        ids = tf.transpose(rows.stack())
        first = tf.fill((tf.size(words), 1), -1)
        first = tf.where(failed[:, None], UNKNOWN_ID, first)
        ids = tf.where(failed[:, None], -1, ids)
        ids = tf.concat([first, ids], axis=1)
        return tf.ragged.boolean_mask(ids, ids >= 0)

    def compute_output_spec(self, text, return_words=False):
        shape = (text.shape[0], None)
        ids = keras.KerasTensor(shape, dtype="int32")
        words = keras.KerasTensor(shape, dtype="string")
        return (ids, words) if return_words else ids

    def get_config(self):
        return {**super().get_config(), "max_length": self.max_length, "end": self.end}


@keras.saving.register_keras_serializable("attention_zoo")
class SubwordDetokenizer(_Vocabulary):
    """Turns ids of subwords back into sentences.

    An unknown id is replaced by the word of the source that the alignment is largest
    at, as Jean et al. and Luong et al. do.

    Args:
        vocabulary: List of strings, the subwords, with the ids that `SubwordTokenizer`
            gives them.
        **kwargs: Other arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        tokens: int32 ids `(B, T)` or `(B, R, T)`.
        alignment: Float tensor `(B, T, S)` or `(B, R, T, S)`.
        words: String tensor `(B, S)`, the words of the source: see `SubwordTokenizer`.

    Returns:
        String tensor `(B,)` or `(B, R)`.

    Example:

    ```python
    detokenizer = attention_zoo.SubwordDetokenizer(["▁a", "▁do", "g"])
    text = detokenizer(
        ops.convert_to_tensor([[4, 5, 6, 1]]),  # 1, unknown: the source word is copied
        ops.eye(4)[None],
        ops.convert_to_tensor([["▁un", "▁chien", "", "▁Rex"]]),
    )
    assert text.numpy().tolist() == [b"a dog Rex"]
    ```

    References:
        - [Jean et al., 2015](https://arxiv.org/abs/1412.2007)
    """

    def build(self, *shapes):
        self.built = True

    def call(self, tokens, alignment, words):
        import tensorflow as tf

        most = ops.argmax(alignment, axis=-1)
        copied = tf.gather(words, most, batch_dims=1)
        return join_words(tf.where(tokens == UNKNOWN_ID, copied, self.pieces(tokens)))

    def pieces(self, tokens):
        """Returns the subwords of ids, strings; padding and the like are empty."""
        import tensorflow as tf

        pieces = tf.constant([""] * len(SPECIALS) + self.vocabulary)
        return tf.gather(pieces, tf.convert_to_tensor(tokens))

    def compute_output_spec(self, tokens, alignment, words):
        return keras.KerasTensor(tokens.shape[:-1], dtype="string")
