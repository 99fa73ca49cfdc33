import numpy as np
import pytest
from support.check_layer import to_numpy

from attention_zoo import layers

rng = np.random.default_rng(0)
SCORES = 3 * rng.normal(size=(2, 3, 5, 7)).astype("float32")
MASK = rng.random((2, 1, 5, 7)) < 0.6


def expected(sink, mask):
    powers = np.where(mask, np.exp(SCORES.astype("float64")), 0)
    return powers / (np.exp(sink) + powers.sum(-1, keepdims=True))


def test_softmax_one():
    normalizer = layers.SoftmaxOne()
    got = to_numpy(normalizer(SCORES, mask=MASK))
    np.testing.assert_allclose(got, expected(0.0, MASK), atol=1e-6)
    np.testing.assert_allclose(to_numpy(normalizer(SCORES)), expected(0.0, True), 1e-5)


def test_a_sink_for_each_head():
    normalizer = layers.SinkSoftmax(num_heads=3)
    normalizer.build(SCORES.shape)
    sink = np.array([-1.0, 0.5, 4.0]).reshape(3, 1, 1)
    normalizer.sink.assign(sink)
    got = to_numpy(normalizer(SCORES, mask=MASK))
    np.testing.assert_allclose(got, expected(sink, MASK), atol=1e-6)


@pytest.mark.parametrize("make", [layers.SoftmaxOne, layers.SinkSoftmax])
def test_rows_without_anything_and_scores_of_any_size(make):
    scores = np.array([[[1e4, 0.0], [-1e4, -1e4], [1.0, 2.0]]], "float32")
    mask = np.array([[[True, True], [True, True], [False, False]]])
    got = to_numpy(make()(scores, mask=mask))
    np.testing.assert_allclose(got, [[[1, 0], [0, 0], [0, 0]]], atol=1e-6)


def test_one_sink_in_an_attention_layer_and_in_blocks():
    x = rng.normal(size=(2, 7, 5)).astype("float32")
    normalizer = layers.SinkSoftmax(num_heads=2)
    layer = layers.MultiHeadAttention(2, 4, normalizer=normalizer)
    output, weights = layer(x, x, return_attention_scores=True)
    assert (to_numpy(weights).sum(-1) < 1).all()
    again = layers.MultiHeadAttention.from_config(
        {**layer.get_config(), "block_size": 3}
    )
    again.build(x.shape, x.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_allclose(to_numpy(again(x, x)), to_numpy(output), atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="Received: num_heads=0"):
        layers.SinkSoftmax(num_heads=0)
    with pytest.raises(ValueError, match="expects scores.*num_heads=2"):
        layers.SinkSoftmax(num_heads=2)(SCORES)
