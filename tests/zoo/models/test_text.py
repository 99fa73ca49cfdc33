"""`standardize_text`: the words that a text model reads, inside the saved model."""

import keras
import numpy as np
import pytest

import attention_zoo

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="only TensorFlow has strings"
)

CASES = {
    # Apostrophes of four kinds, and none.
    "It wasn't good, couldn't finish it": "it was not good could not finish it",
    "It wasn’t good, couldn’t finish it": "it was not good could not finish it",
    "It wasn`t good, couldnʼt finish it": "it was not good could not finish it",
    "It wasnt good, couldnt finish it": "it was not good could not finish it",
    "I can't, cannot, won’t, shan't; ain't": (
        "i can not can not will not shall not is not"
    ),
    "the film's end, they'll": "the film s end they ll",
    # Quotes and dashes glue nothing.
    "“great” ‘great’ \"great\" 'great' «great»": "great great great great great",
    "good—bad–ugly--well-made…end...": "good bad ugly well made end",
    # Markup and character references.
    "A bad movie.<br /><br />So bad.<BR>Bad</i>": "a bad movie so bad bad",
    "Tom &amp; Jerry isn&#39;t &quot;art&quot;": "tom jerry is not art",
    "a < b, I <3 it, b > c": "a b i 3 it b c",
    # Other forms of the same letters.
    "Café naïve Ångström": "cafe naive angstrom",
    "Cafe\u0301": "cafe",
    "ＧＯＯＤ ﬁlm 𝐛𝐚𝐝 Straße": "good film bad strasse",
    "so\u200bft hy\u00adphen\ufeff": "soft hyphen",
    "non\u00a0breaking\u2009space": "non breaking space",
    # Signs that say something.
    "8/10! 10 / 10!!! and/or": "8/10 ! 10/10 ! and or",
    "Really?! Why??": "really ? ! why ?",
    "Nice :) sad :-( ❤️👍🏽": "nice 🙂 sad 🙁 ❤ 👍",
    # Other scripts keep their letters; ideographs are words.
    "Хороший ёж, ЙОД": "хороший ёж йод",
    "电影很好": "电 影 很 好",
    "하다 हिन्दी": "하다 हिन्दी",
    "": "",
    " \t\n ...": "",
}


def words(texts):
    result = attention_zoo.standardize_text(keras.ops.convert_to_tensor(texts))
    return [text.decode() for text in result.numpy().tolist()]


def test_words_of_a_text():
    assert dict(zip(CASES, words(list(CASES)), strict=True)) == CASES


def test_words_stay_as_they_are():
    """What is standardised once is read alike again: `explain` relies on it."""
    assert words(list(CASES.values())) == list(CASES.values())


@pytest.mark.parametrize("shape", [(), (0,), (2,), (2, 1), (2, 3)])
def test_the_shape_stays(shape):
    texts = keras.ops.convert_to_tensor(np.full(shape, "Café!", dtype=object))
    result = attention_zoo.standardize_text(texts)
    assert result.shape == shape
    assert np.all(result.numpy() == b"cafe !")


def test_bytes_that_are_no_text_become_signs_of_their_own():
    assert words([b"\xff bad"]) == ["\ufffd bad"]


def test_a_saved_model_reads_the_same(tmp_path):
    layer = keras.layers.TextVectorization(
        standardize=attention_zoo.standardize_text, vocabulary=["not", "good", "movie"]
    )
    text = keras.Input((), dtype="string")
    model = keras.Model(text, layer(text))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    given = keras.ops.convert_to_tensor(["It isn’t a “good” movie.<br />Good!", "é"])
    expected = [[1, 1, 2, 1, 3, 4, 3, 1], [1, 0, 0, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(again(given), expected)
    model.export(tmp_path / "served", verbose=False)
    import tensorflow as tf

    served = tf.saved_model.load(tmp_path / "served").serve(given)
    np.testing.assert_array_equal(served, expected)
