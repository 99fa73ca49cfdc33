"""Subwords inside a model: against `tokenizers`, there and back, saved and served."""

import keras
import numpy as np
import pytest

from attention_zoo import SubwordDetokenizer, SubwordTokenizer

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="strings are TensorFlow's"
)
VOCABULARY = [
    "▁", "▁A", "▁dog", "▁do", "o", "g", "gs", ",", ".", "▁run", "n", "ning", "▁ß",
    "1", "▁1", "é", "s",
]  # fmt: skip
TEXTS = [
    "A dog, running.",
    "  A \t dogs\n\u0000 11 ",
    "",
    "dog ßé 东京 run",
    " \u00a0 ",
]
PIECES = [
    ["▁A", "▁dog", ",", "▁run", "ning", "."],
    ["▁A", "▁dog", "s", "▁1", "1"],  # from the start on, not "▁do" and "gs"
    [],
    ["▁dog", "▁ß", "é", "[UNK]", "▁run"],
    [],
]


def ids_of(pieces):
    known = {piece: i for i, piece in enumerate(VOCABULARY, 4)} | {"[UNK]": 1}
    return [known[piece] for piece in pieces]


def padded(rows):
    width = max(map(len, rows))
    return [row + [0] * (width - len(row)) for row in rows]


def test_ids_and_their_words():
    tokenizer = SubwordTokenizer(VOCABULARY)
    ids, words = tokenizer(tf.constant(TEXTS), return_words=True)
    assert ids.numpy().tolist() == padded([ids_of(row) for row in PIECES])
    assert [x.decode() for x in words.numpy()[0]] == [
        "▁A", "▁dog", ",", "▁running", "▁running", ".",
    ]  # fmt: skip
    assert words.numpy()[3][3].decode() == "▁东京"
    assert tokenizer.lengths(tf.constant(TEXTS)).numpy().tolist() == [6, 5, 0, 5, 0]


def test_the_end_follows_what_is_left_after_the_cut():
    tokenizer = SubwordTokenizer(VOCABULARY, max_length=3, end=True)
    ids = tokenizer(tf.constant(TEXTS)).numpy()
    assert ids.tolist() == [
        [*ids_of(["▁A", "▁dog"]), 3],
        [*ids_of(["▁A", "▁dog"]), 3],
        [3, 0, 0],
        [*ids_of(["▁dog", "▁ß"]), 3],
        [3, 0, 0],
    ]
    assert tokenizer.lengths(tf.constant(TEXTS)).numpy().tolist() == [7, 6, 1, 6, 1]
    empty = SubwordTokenizer(VOCABULARY)(tf.constant(["", ""])).numpy()
    assert empty.tolist() == [[0], [0]]


def test_an_empty_batch_in_a_graph():
    """As in an exported model: there is nothing to split in it, nor in empty texts."""
    tokenizer = SubwordTokenizer(VOCABULARY, end=True)
    tokenize = tf.function(tokenizer, [tf.TensorSpec((None,), "string")])
    assert tokenize(tf.constant([], "string")).shape == (0, 1)
    assert tokenize(tf.constant(["", " "])).numpy().tolist() == [[3], [3]]
    assert tokenize(tf.constant(["dog"])).numpy().tolist() == [[6, 3]]


def test_the_library_splits_alike():
    tokenizers = pytest.importorskip("tokenizers")
    rng = np.random.default_rng(0)
    model = tokenizers.models.WordPiece(
        {piece: i for i, piece in enumerate(["[UNK]", *VOCABULARY])},
        unk_token="[UNK]",
        continuing_subword_prefix="",
    )
    letters = "ognsé1ognsé1i"
    words = ["▁" + "".join(rng.choice(list(letters), n)) for n in range(1, 19)]
    words += ["▁dogs", "▁running", "▁do", "▁"]
    tokenizer = SubwordTokenizer(VOCABULARY)
    found = tokenizer._split(tf.constant(words)).to_list()
    wanted = []
    for word in words:
        pieces = [token.value for token in model.tokenize(word)]
        wanted.append(ids_of(pieces))
    assert found == wanted
    assert [1] in wanted
    assert any(len(row) > 2 for row in wanted)


def test_sentences_come_back_and_unknown_words_are_copied():
    tokenizer = SubwordTokenizer(VOCABULARY, end=True)
    ids, words = tokenizer(tf.constant(TEXTS[:1] + TEXTS[3:4]), return_words=True)
    size = ids.shape[1]
    alignment = np.tile(np.eye(size, dtype="float32"), (2, 1, 1))
    detokenizer = SubwordDetokenizer(VOCABULARY)
    texts = detokenizer(ids, tf.constant(alignment), words).numpy()
    assert [x.decode() for x in texts] == ["A dog, running.", "dog ßé 东京 run"]
    several = detokenizer(ids[:, None], tf.constant(alignment[:, None]), words)
    assert several.shape == (2, 1)
    assert several.numpy()[:, 0].tolist() == texts.tolist()
    # The alignment decides which word is copied.
    alignment[1, 3] = np.eye(size)[0]
    texts = detokenizer(ids, tf.constant(alignment), words).numpy()
    assert texts[1].decode() == "dog ßé dog run"


@keras.saving.register_keras_serializable("tests")
class SameIds(keras.layers.Layer):
    """Ids `(B, T)` to the alignment `(B, T, T)` of equal ones."""

    def call(self, ids):
        return keras.ops.cast(ids[:, None] == ids[:, :, None], "float32")


def test_both_ways_in_a_saved_model(tmp_path):
    text = keras.Input((), dtype="string", name="text")
    tokenizer = SubwordTokenizer(VOCABULARY, max_length=7, end=True, name="tokenizer")
    ids, words = tokenizer(text, return_words=True)
    alignment = SameIds()(ids)
    model = keras.Model(text, SubwordDetokenizer(VOCABULARY)(ids, alignment, words))
    batch = tf.constant(TEXTS)
    wanted = model(batch).numpy().tolist()
    assert wanted[:1] + wanted[2:3] == [b"A dog, running.", b""]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again(batch).numpy().tolist() == wanted
    assert again.get_layer("tokenizer").get_config()["max_length"] == 7
    model.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    assert served.serve(batch).numpy().tolist() == wanted


def test_bad_vocabularies_are_refused():
    with pytest.raises(ValueError, match="some of them twice"):
        SubwordTokenizer(["a", "b", "a"])
    with pytest.raises(ValueError, match=r"among them '\[UNK\]'"):
        SubwordDetokenizer(["a", "[UNK]"])
    with pytest.raises(ValueError, match="max_length=0"):
        SubwordTokenizer(["a"], max_length=0)
