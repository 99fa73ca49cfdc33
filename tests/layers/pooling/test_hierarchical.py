import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, shake, to_numpy

from attention_zoo.layers import HierarchicalAttention, record_attention


def pool(weights, prefix, x, mask):
    """Yang et al. 2016, equations 5 to 7, over the rows of `x` that are seen."""
    kernel, bias, scale = (
        weights[f"{prefix}/additive/{n}"] for n in ("key_kernel", "bias", "scale")
    )
    a = formulas.softmax((np.tanh(x @ kernel + bias) @ scale)[None], mask[None])[0]
    return a @ np.where(mask[:, None], x, 0), a


def hierarchical(weights, inputs, masks):
    x = inputs["inputs"]
    mask = np.ones(x.shape[:3], bool)
    if "mask" in masks:
        mask &= masks["mask"][:, :, None]
    output, words = np.zeros((2, 3)), np.zeros((2, 7, 5))
    for b in range(2):
        pooled = [pool(weights, "word_pooling", x[b, s], mask[b, s]) for s in range(7)]
        sentences = np.stack([vector for vector, _ in pooled])
        output[b], a = pool(
            weights, "sentence_pooling", sentences, mask[b].any(axis=-1)
        )
        words[b] = a[:, None] * np.stack([w for _, w in pooled])
    return output, words


CASES = [
    Case(
        name="hierarchical_attention",
        cls=HierarchicalAttention,
        config={"units": 11},
        inputs={"inputs": (2, 7, 5, 3)},
        formula=hierarchical,
        scores=(2, 7, 5),
        dynamic=(1, 2),
    )
]


def test_padding_of_words_and_of_whole_sentences_is_invisible():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 2, 3, 5)).astype("float32")
    layer = HierarchicalAttention(units=7)
    layer(x)
    shake(layer)
    expected = to_numpy(layer(x))
    padded = np.full((1, 4, 5, 5), np.nan, "float32")
    padded[:, :2, :3] = x
    mask = np.zeros((1, 4, 5), bool)
    mask[:, :2, :3] = True
    output, weights = to_numpy(layer(padded, mask=mask, return_attention_scores=True))
    np.testing.assert_allclose(output, expected, atol=1e-6)
    np.testing.assert_array_equal(weights[~mask], 0)
    np.testing.assert_allclose(weights.sum(), 1, atol=1e-6)
    nothing = to_numpy(layer(x, mask=np.zeros((1, 2, 3), bool)))
    np.testing.assert_array_equal(nothing, 0)


def test_sentence_encoder_is_used_saved_and_records_once(tmp_path):
    encoder = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True))
    inputs = keras.Input((None, None, 5))
    layer = HierarchicalAttention(units=7, sentence_encoder=encoder, name="documents")
    model = keras.Model(inputs, layer(inputs))
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    assert model(x).shape == (2, 6)
    with record_attention() as records:
        model(x)
    assert [(r.layer_name, r.weights.shape) for r in records] == [
        ("documents", (2, 3, 4))
    ]
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(again(x)), to_numpy(model(x)), atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="Received: units=0"):
        HierarchicalAttention(units=0)
    with pytest.raises(ValueError, match="rank 4. Received"):
        HierarchicalAttention()(np.ones((2, 3, 5), "float32"))
