"""The attention-LSTM: what is its own beside what every model promises."""

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import layers

SMALL = {"vocabulary_size": 23, "num_classes": 3, "embedding_dim": 5, "units": 7}
IDS = np.array([[2, 3, 5, 7], [11, 1, 0, 0]])


def predict(model, ids):
    return keras.ops.convert_to_numpy(model(ids, training=False))


def test_number_of_weights():
    model = attention_zoo.create("attention_lstm", **SMALL, attention=None)
    embedding = 23 * 5
    lstm = 2 * 4 * 7 * (5 + 7 + 1)
    head = 14 * 3 + 3
    assert model.count_params() == embedding + lstm + head


def test_without_attention_is_the_mean_over_the_words():
    model = attention_zoo.create("attention_lstm", **SMALL, attention=None)
    states = keras.Model(model.input, model.get_layer("lstm").output)
    means = [predict(states, row[row != 0][None])[0].mean(axis=0) for row in IDS]
    kernel, bias = (predict_weight(w) for w in model.get_layer("head").weights)
    logits = np.stack(means) @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(predict(model, IDS), expected, atol=1e-6)


def predict_weight(weight):
    return keras.ops.convert_to_numpy(weight)


def test_sequence_attention_asks_with_the_final_states():
    model = attention_zoo.create("attention_lstm", **SMALL, attention="attention")
    outputs = model.get_layer("lstm").output
    states = keras.Model(model.input, [outputs[0], model.get_layer("query").output])
    all_states, query = states(IDS, training=False)
    all_states = keras.ops.convert_to_numpy(all_states)
    query = keras.ops.convert_to_numpy(query)[:, 0]
    # Forwards the reading ends at the last word, backwards at the first.
    ends = np.stack([all_states[0, 3, :7], all_states[1, 1, :7]])
    np.testing.assert_allclose(query[:, :7], ends, atol=1e-6)
    np.testing.assert_allclose(query[:, 7:], all_states[:, 0, 7:], atol=1e-6)


def test_attention_with_arguments():
    attention = {"name": "attention_pooling", "units": 13, "normalizer": "sparsemax"}
    model = attention_zoo.create("attention_lstm", **SMALL, attention=attention)
    layer = model.get_layer("attention")
    assert isinstance(layer, layers.AttentionPooling)
    assert layer.units == 13
    assert layer.normalizer == "sparsemax"
    assert attention["name"] == "attention_pooling"  # the caller's dict is untouched


def test_layers_are_named():
    model = attention_zoo.create("attention_lstm", **SMALL)
    names = [layer.name for layer in model.layers]
    assert names == [
        "token_ids", "embedding", "embedding_dropout", "lstm", "attention", "dropout",
        "head",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": "attention_poling"}, "did you mean 'attention_pooling'"),
        ({"attention": 3}, "Received: attention=3"),
        ({"attention": {"units": 3}}, "Expected a name"),
        ({"num_classes": 1}, "integer of at least 2. Received: num_classes=1"),
        ({"num_classes": 2.0}, "Received: num_classes=2.0"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        attention_zoo.create("attention_lstm", **{**SMALL, **change})
