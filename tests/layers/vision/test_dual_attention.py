import numpy as np
import pytest
from support.check_layer import built_layer, named_weights, to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, positions, softmax

from attention_zoo import layers


def attend(weights, x):
    """Returns the output and both kinds of weights."""
    flat = positions(x)
    query = dense(flat, weights, "position/query")
    key = dense(flat, weights, "position/key")
    position = softmax(np.einsum("bid,bjd->bij", query, key), axis=-1)
    value = dense(flat, weights, "position/value")
    first = flat + weights["position/scale"] * np.einsum(
        "bij,bjc->bic", position, value
    )
    channel = softmax(np.einsum("bnc,bnd->bcd", flat, flat), axis=-1)
    second = flat + weights["channel/scale"] * np.einsum("bcd,bnd->bnc", channel, flat)
    return (first + second).reshape(x.shape), position, channel


def formula(weights, inputs, masks):
    return attend(weights, inputs["inputs"])[0]


CASES = [
    *both_formats("dual_attention", layers.DualAttention, {"ratio": 3}, formula),
    *both_formats(
        "dual_attention-1d", layers.DualAttention, {"ratio": 2}, formula, (2, 7, 11)
    ),
]


def test_the_weights_are_returned_and_recorded():
    case = CASES[0]
    layer, inputs = built_layer(case), case.draw()
    with layers.record_attention() as records:
        _, scores = layer(inputs["inputs"], return_attention_scores=True)
    assert [r.layer_name for r in records] == ["position", "channel"]
    expected = attend(named_weights(layer), inputs["inputs"].astype("float64"))[1:]
    assert [e.shape for e in expected] == [(2, 35, 35), (2, 11, 11)]
    for got, record, values in zip(scores, records, expected, strict=True):
        np.testing.assert_allclose(to_numpy(got), values, atol=1e-5)
        np.testing.assert_allclose(record.weights, values, atol=1e-5)


def test_like_channels_attend_to_each_other():
    """The paper's formula; the authors' code attends to unlike ones."""
    x = np.zeros((1, 2, 2, 8), "float32")
    x[0, 0, 0, :2] = 3.0  # channels 0 and 1 are alike
    _, (_, channel) = layers.DualAttention(ratio=8)(x, return_attention_scores=True)
    assert (to_numpy(channel)[0, 0, :2] > 0.49).all()


def test_it_starts_as_twice_the_inputs():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 11)).astype("float32")
    np.testing.assert_array_equal(to_numpy(layers.DualAttention()(x)), 2 * x)


def test_errors():
    with pytest.raises(
        ValueError, match="`DualAttention` has too few channels for its"
    ):
        layers.DualAttention(ratio=8)(np.zeros((2, 3, 3, 7)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.DualAttention()(np.zeros((2, 16)))
