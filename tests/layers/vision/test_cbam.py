import numpy as np
import pytest
from support.check_layer import built_layer, named_weights, to_numpy
from support.image_cases import both_formats
from support.image_formulas import convolve, dense, relu, sigmoid, spread

from attention_zoo import layers


def attend(weights, x):
    """Returns the output and both gates."""
    axes = tuple(range(1, x.ndim - 1))
    channel = 0
    for z in (x.mean(axis=axes), x.max(axis=axes)):
        hidden = relu(dense(z, weights, "channel/reduce"))
        channel = channel + dense(hidden, weights, "channel/expand")
    channel = sigmoid(channel)
    x = x * spread(channel, x)
    described = np.stack([x.mean(axis=-1), x.max(axis=-1)], axis=-1)
    spatial = sigmoid(convolve(described, weights["spatial/conv/kernel"]))
    return x * spatial, channel, spatial[..., 0]


def formula(weights, inputs, masks):
    return attend(weights, inputs["inputs"])[0]


CASES = [
    *both_formats("cbam", layers.CBAM, {"ratio": 1, "kernel_size": 5}, formula),
    *both_formats(
        "cbam-1d", layers.CBAM, {"ratio": 1, "kernel_size": 3}, formula, (2, 7, 11)
    ),
]


def test_the_gates_are_returned_and_recorded():
    case = CASES[0]
    layer, inputs = built_layer(case), case.draw()
    with layers.record_attention() as records:
        _, gates = layer(inputs["inputs"], return_attention_scores=True)
    assert [r.layer_name for r in records] == ["channel", "spatial"]
    expected = attend(named_weights(layer), inputs["inputs"].astype("float64"))[1:]
    for gate, record, values in zip(gates, records, expected, strict=True):
        np.testing.assert_allclose(to_numpy(gate), values, atol=1e-5)
        np.testing.assert_allclose(record.weights, values, atol=1e-5)


def test_both_branches_pool_the_maximum():
    """Popular copies average twice. All means are 0 here, so that they see nothing."""
    x = np.zeros((1, 1, 2, 2), "float32")
    x[0, 0, 0], x[0, 0, 1] = (2.0, -2.0), (-2.0, 2.0)
    layer = layers.CBAM(ratio=1, kernel_size=1)
    layer(x)
    last = np.array([0.0, 1.0]).reshape(1, 1, 2, 1)
    layer.set_weights([np.eye(2), np.eye(2), last])
    _, (channel, spatial) = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(channel), [[sigmoid(2.0)] * 2], atol=1e-6)
    expected = sigmoid(2.0 * sigmoid(2.0))
    np.testing.assert_allclose(to_numpy(spatial), [[[expected] * 2]], atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="odd integer.*kernel_size=2"):
        layers.CBAM(kernel_size=2)
    with pytest.raises(ValueError, match="too few channels.*ratio=16, channels=15"):
        layers.CBAM(ratio=16)(np.zeros((2, 3, 3, 15)))
    with pytest.raises(ValueError, match="`CBAM` expects `inputs` of rank 3 or 4 or 5"):
        layers.CBAM()(np.zeros((2, 16)))
