import numpy as np
import pytest
from support.check_layer import built_layer, named_weights, to_numpy
from support.image_cases import both_formats
from support.image_heads import self_attention

from attention_zoo import layers


def attend(weights, x):
    """Returns the output and the weights of each axis."""
    scores = []
    for axis in range(1, x.ndim - 1):
        moved = np.moveaxis(x, axis, -2)
        output, found = np.zeros(moved.shape), {}
        for line in np.ndindex(moved.shape[:-2]):
            output[line], found[line] = self_attention(
                moved[line], weights, f"axis_{axis - 1}/", 3
            )
        x = np.moveaxis(output, -2, axis)
        lines = np.array(list(found.values()))
        scores.append(lines.reshape(*moved.shape[:-2], *lines.shape[1:]))
    return x, scores


def formula(weights, inputs, masks):
    return attend(weights, inputs["inputs"])[0]


CASES = [
    *both_formats("axial_attention", layers.AxialAttention, {"num_heads": 3}, formula),
    *both_formats(
        "axial_attention-3d",
        layers.AxialAttention,
        {"num_heads": 3},
        formula,
        shape=(2, 3, 2, 5, 7),
    ),
]


def test_the_weights_of_each_axis_are_returned_and_recorded():
    case = CASES[0]
    layer, inputs = built_layer(case), case.draw()
    with layers.record_attention() as records:
        _, scores = layer(inputs["inputs"], return_attention_scores=True)
    assert [r.layer_name for r in records] == ["axis_0", "axis_1"]
    expected = attend(named_weights(layer), inputs["inputs"].astype("float64"))[1]
    assert [e.shape for e in expected] == [(2, 5, 3, 7, 7), (2, 7, 3, 5, 5)]
    for got, record, values in zip(scores, records, expected, strict=True):
        np.testing.assert_allclose(to_numpy(got), values, atol=1e-5)
        np.testing.assert_allclose(record.weights, values, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*num_heads=0"):
        layers.AxialAttention(num_heads=0)
    with pytest.raises(
        ValueError, match="`AxialAttention` has too few channels for it"
    ):
        layers.AxialAttention(num_heads=8)(np.zeros((2, 3, 3, 7)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.AxialAttention()(np.zeros((2, 16)))
