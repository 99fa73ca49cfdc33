import numpy as np
import pytest
from support.check_layer import built_layer, named_weights, to_numpy
from support.image_cases import both_formats
from support.image_formulas import batch_norm, convolve, sigmoid

from attention_zoo import layers


def gate(weights, x, axis, name):
    described = np.stack([x.mean(axis=axis), x.max(axis=axis)], axis=-1)
    y = convolve(described, weights[f"{name}/conv/kernel"])
    return sigmoid(batch_norm(y, weights, f"{name}/norm"))[..., 0]


def gates(weights, x):
    return (
        gate(weights, x, 3, "height_width"),
        gate(weights, x, 2, "height_channel"),
        gate(weights, x, 1, "width_channel"),
    )


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    hw, hc, wc = gates(weights, x)
    parts = x * hw[:, :, :, None], x * hc[:, :, None, :], x * wc[:, None, :, :]
    return sum(parts) / 3


CASES = both_formats(
    "triplet_attention", layers.TripletAttention, {"kernel_size": 3}, formula
)


def test_the_gates_are_returned_and_recorded():
    case = CASES[0]
    layer, inputs = built_layer(case), case.draw()
    with layers.record_attention() as records:
        _, got = layer(inputs["inputs"], return_attention_scores=True)
    names = ["height_width", "height_channel", "width_channel"]
    assert [r.layer_name for r in records] == names
    expected = gates(named_weights(layer), inputs["inputs"].astype("float64"))
    assert [e.shape for e in expected] == [(2, 7, 5), (2, 7, 11), (2, 5, 11)]
    for one, record, values in zip(got, records, expected, strict=True):
        np.testing.assert_allclose(to_numpy(one), values, atol=1e-5)
        np.testing.assert_allclose(record.weights, values, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="odd integer.*kernel_size=8"):
        layers.TripletAttention(kernel_size=8)
    with pytest.raises(ValueError, match="of rank 4"):
        layers.TripletAttention()(np.zeros((2, 5, 16)))
