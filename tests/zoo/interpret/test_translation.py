"""explain for translators, and translate_texts: a copying model has known answers."""

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import translate_texts
from attention_zoo.generation.texts import TextTranslator, change_search
from attention_zoo.interpret.translation import TranslationExplanation, word_places

if keras.config.backend() != "tensorflow":
    pytest.skip("raw strings need TensorFlow", allow_module_level=True)

from support.copying import make_translator

TEXTS = ["a dog, a zzyzx!", "a dogs", "a cat"]
EXPECTED = [
    (["▁a", "▁dog", ",", "▁a", "▁zzyzx", "!", "[END]"], [4, 5, 9, 4, 1, 10, 3]),
    (["▁a", "▁dog", "s", "[END]"], [4, 5, 7, 3]),
    (["▁a", "▁cat", "[END]"], [4, 8, 3]),
]


@pytest.fixture(scope="module")
def model():
    return make_translator(max_length=8)


@pytest.fixture(scope="module")
def translator(model):
    return TextTranslator(model, num_best=2, batch_size=3)


@pytest.fixture(scope="module")
def explanation(model):
    return attention_zoo.explain(model, TEXTS)


def log_probability(count, size=13):
    """The score of a copy with `count` tokens: each has logit 9, all others 0."""
    return count * -np.log1p((size - 1) * np.exp(-9.0)) / ((5 + count) / 6)


# === translate_texts ===


def test_copies_with_their_subwords_and_alignment(model, translator):
    found = translator(TEXTS)
    assert [t.texts[0] for t in found] == TEXTS
    for translation, (pieces, ids) in zip(found, EXPECTED, strict=True):
        assert translation.source == translation.targets[0] == pieces
        assert translation.source_ids.tolist() == ids
        assert translation.target_ids[0].tolist() == ids
        assert translation.length == translation.read == len(pieces) - 1
        np.testing.assert_array_equal(translation.alignments[0], np.eye(len(pieces)))
        expected = log_probability(len(pieces))
        assert translation.scores[0] == pytest.approx(expected, abs=1e-5)
    outputs = keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(TEXTS)))
    assert [text.decode() for text in outputs] == TEXTS


def test_the_order_of_the_texts_is_kept(translator):
    texts = ["a " * (1 + n % 5) + ["dog", "cat"][n % 2] for n in range(8)]
    assert [t.texts[0] for t in translator(texts)] == texts
    assert translator([]) == []
    assert [t.texts[0] for t in translator(["", "a"])] == ["", "a"]
    assert translator("a dog")[0].texts[0] == "a dog"


def test_several_best(translator):
    found = translator(TEXTS)[2]
    assert len(found.texts) == len(found.scores) == len(found.alignments) == 2
    assert found.scores[0] > found.scores[1] + 2
    for pieces, alignment in zip(found.targets, found.alignments, strict=True):
        assert alignment.shape == (len(pieces), 3)


def test_long_texts_are_cut(translator):
    found = translator(["a dogs " * 4, "a cat", "a"])[0]
    assert (found.length, found.read) == (12, 7)
    assert found.texts[0] == "a dogs a dogs a"


def test_searches(model):
    (found,) = translate_texts(model, "a cat", search="greedy")
    assert found.texts == ["a cat"]
    assert found.scores[0] == pytest.approx(log_probability(3) * 8 / 6, abs=1e-5)
    own = {"name": "beam", "beam_size": 5, "length_penalty": 0.5}
    assert change_search(own, 7) == {**own, "beam_size": 7}
    assert change_search(own, None, 2) == {**own, "num_best": 2}
    assert change_search("greedy", 7) == {"name": "beam", "beam_size": 7}
    assert change_search("greedy") == "greedy"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beam_size": 0}, "beam_size=0"),
        ({"beam_size": 14}, "13. Received: beam_size=14"),
        ({"num_best": 6}, "num_best=6, beam_size=5"),
        ({"search": "baem"}, "did you mean 'beam'"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_bad_arguments(model, change, message):
    with pytest.raises(ValueError, match=message):
        translate_texts(model, TEXTS, **change)


def test_another_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="dense")
    with pytest.raises(ValueError, match="Expected a translator.*'dense'"):
        translate_texts(model, TEXTS)


# === explain ===


def test_weights_are_the_alignment(explanation):
    assert isinstance(explanation, TranslationExplanation)
    assert explanation.predictions == TEXTS
    (weights,) = explanation.weights.values()
    assert list(explanation.weights) == ["translator"]
    assert weights.shape == (3, 7, 7)
    for row, (pieces, _) in zip(weights, EXPECTED, strict=True):
        expected = np.zeros((7, 7))
        np.fill_diagonal(expected[: len(pieces)], 1)
        np.testing.assert_array_equal(row, expected)
    assert explanation.mask.sum(axis=-1).tolist() == [7, 4, 3]
    assert explanation.source[0] == ["a", "dog", ",", "a", "[zzyzx]", "!", "[END]"]
    assert explanation.target[1] == ["a", "dog", "s", "[END]"]


def test_text(explanation):
    score = f"({log_probability(4):.3f})"
    assert str(explanation).splitlines()[7:11] == [
        f"2. a dogs {score}",
        "   1.000 a    <- a",
        "   1.000 dogs <- dogs",
        f"3. a cat ({log_probability(3):.3f})",
    ]
    assert "   1.000 [zzyzx] <- [zzyzx]" in str(explanation)


def test_words_are_summed_over_the_source_and_averaged_over_the_target(model):
    explanation = attention_zoo.explain(model, "a dogs")
    weights = explanation.weights["translator"]
    assert weights.shape == (1, 4, 4)
    weights[0] = 0
    weights[0, 0, :3] = 0.4, 0.3, 0.3  # the largest alone, but not of a word
    weights[0, 1, 0], weights[0, 2, 1] = 0.6, 0.2  # of "dog" and of "s"
    found = explanation.words(0)
    assert [row[:2] for row in found] == [("a", "dogs"), ("dogs", "a")]
    np.testing.assert_allclose([row[2] for row in found], [0.6, 0.3], atol=1e-6)


def test_word_places():
    pieces = [
        "▁a",
        "b",
        "c",
        ",",
        "d",
        "▁",
        "e",
        "▁zzyzx",
        "f",
        "▁g",
        "\u0301",
        "7",
        "[END]",
    ]
    ids = [4, 5, 6, 7, 8, 9, 10, 1, 11, 12, 13, 14, 3]
    places = word_places(pieces, ids)
    assert places == [
        [0, 1, 2], [3], [4], [5, 6], [7], [8], [9, 10], [11], [12],
    ]  # fmt: skip
    assert word_places([], []) == []


def test_single_characters():
    """Where a space is a subword of its own, it belongs to the word behind it."""
    explanation = attention_zoo.explain(make_translator(subwords=["▁", *"ab"]), "ab a")
    assert explanation.source == [["▁", "a", "b", "▁", "a", "[END]"]]
    assert explanation.words(0) == [("ab", "ab", 1), ("a", "a", 1)]


def test_plot(explanation):
    figure = explanation.plot(max_inputs=2)
    *matrices, _ = figure.axes
    assert len(matrices) == 2
    for b, axes in enumerate(matrices):
        pieces = explanation.source[b]
        assert [label.get_text() for label in axes.get_xticklabels()] == pieces
        assert [label.get_text() for label in axes.get_yticklabels()] == pieces
        np.testing.assert_array_equal(axes.images[0].get_array(), np.eye(len(pieces)))


def test_empty_texts(model):
    explanation = attention_zoo.explain(model, ["", "$a$ dog"])
    assert explanation.predictions == ["", "$a$ dog"]
    assert explanation.words(0) == []
    explanation.plot().draw_without_rendering()


def test_a_translator_without_attention():
    model = make_translator(looks=False)
    with pytest.raises(ValueError, match="a translator without attention has none"):
        attention_zoo.explain(model, TEXTS)
