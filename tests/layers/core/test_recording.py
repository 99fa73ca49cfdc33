import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, to_numpy

from attention_zoo import layers
from attention_zoo.layers import record_attention

X = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")


def make_model():
    inputs = keras.Input((None, 5))
    first = layers.Attention(name="first")(inputs, inputs)
    second = layers.BahdanauAttention(3, name="second")(first, inputs)
    return keras.Model(inputs, layers.AttentionPooling(name="pool")(second))


def test_records_every_layer_in_the_order_of_the_calls():
    model = make_model()
    with record_attention() as records:
        model(X)
    assert [r.layer_name for r in records] == ["first", "second", "pool"]
    assert [r.weights.shape for r in records] == [(2, 7, 7), (2, 7, 7), (2, 7)]
    assert records[0].layer is model.get_layer("first")
    expected = layers.Attention()(X, X, return_attention_scores=True)[1]
    np.testing.assert_allclose(records[0].weights, to_numpy(expected), atol=1e-6)


def test_recording_ends_with_the_block_and_nests():
    model = make_model()
    with record_attention() as outer:
        with record_attention() as inner:
            model(X)
        assert len(inner) == 3
        model(X[:1])
    assert [r.weights.shape[0] for r in outer] == [1, 1, 1]
    model(X)
    assert len(outer) == 3
    with pytest.raises(KeyError), record_attention() as records:
        raise KeyError
    model(X)
    assert records == []


def test_recording_sees_the_weights_of_a_layer_in_blocks():
    layer = layers.Attention(block_size=2)
    with record_attention() as records:
        layer(X, X)
    expected = layers.Attention()(X, X, return_attention_scores=True)[1]
    np.testing.assert_allclose(records[0].weights, to_numpy(expected), atol=1e-6)


def test_building_a_model_records_nothing():
    with record_attention() as records:
        make_model()
    assert records == []


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch runs eagerly in predict")
def test_a_compiled_call_says_what_to_do_instead():
    model = make_model()
    with (
        pytest.raises(RuntimeError, match=r"model\(inputs\).*instead of"),
        record_attention(),
    ):
        model.predict(X, verbose=0)
