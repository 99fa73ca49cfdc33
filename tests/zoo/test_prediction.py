"""Lists of strings through a model of raw texts."""

import keras
import numpy as np
import pytest

import attention_zoo

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="strings are of TensorFlow"
)
WORDS = ["good", "bad", "long"]


@pytest.fixture(scope="module")
def model():
    """Counts of three words, `(B, 3)`."""
    text = keras.Input((), dtype="string")
    words = keras.layers.TextVectorization(vocabulary=WORDS)(text)
    hot = keras.ops.equal(keras.ops.expand_dims(words, -1), np.arange(2, 5))
    return keras.Model(text, keras.ops.sum(keras.ops.cast(hot, "float32"), axis=1))


def test_outputs_stand_in_the_order_of_the_texts(model):
    texts = ["long good good film", "bad", "", "good " * 5, "a long bad bad one"]
    expected = [[text.split().count(word) for word in WORDS] for text in texts]
    for batch_size in (2, 256):
        found = attention_zoo.predict(model, texts, batch_size)
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        attention_zoo.predict(model, np.array(texts)), expected
    )
    np.testing.assert_array_equal(attention_zoo.predict(model, texts[0]), expected[0])


def test_what_is_no_text(model):
    with pytest.raises(ValueError, match="Expected a list of strings. Received: 3 in"):
        attention_zoo.predict(model, ["good", 3])
    with pytest.raises(ValueError, match="Received: an empty list"):
        attention_zoo.predict(model, [])
