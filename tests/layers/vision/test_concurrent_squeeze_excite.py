import numpy as np
import pytest
from support.check_layer import built_layer, named_weights, to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, relu, sigmoid, spread

from attention_zoo import layers


def attend(weights, x, combine):
    """Returns the output and both gates."""
    z = x.mean(axis=tuple(range(1, x.ndim - 1)))
    hidden = relu(dense(z, weights, "channel/reduce"))
    channel = sigmoid(dense(hidden, weights, "channel/expand"))
    spatial = sigmoid(dense(x, weights, "spatial/conv"))
    both = x * spread(channel, x), x * spatial
    output = both[0] + both[1] if combine == "sum" else np.maximum(*both)
    return output, channel, spatial[..., 0]


def formula(combine):
    return lambda weights, inputs, masks: attend(weights, inputs["inputs"], combine)[0]


CASES = [
    *both_formats(
        "concurrent_squeeze_excite",
        layers.ConcurrentSqueezeExcite,
        {"ratio": 1},
        formula("sum"),
    ),
    *both_formats(
        "concurrent_squeeze_excite-max",
        layers.ConcurrentSqueezeExcite,
        {"ratio": 1, "combine": "max"},
        formula("max"),
        shape=(2, 7, 11),
    ),
]


def test_the_gates_are_returned_and_recorded():
    case = CASES[0]
    layer, inputs = built_layer(case), case.draw()
    with layers.record_attention() as records:
        _, gates = layer(inputs["inputs"], return_attention_scores=True)
    assert [r.layer_name for r in records] == ["channel", "spatial"]
    x = inputs["inputs"].astype("float64")
    expected = attend(named_weights(layer), x, "sum")[1:]
    for gate, record, values in zip(gates, records, expected, strict=True):
        np.testing.assert_allclose(to_numpy(gate), values, atol=1e-5)
        np.testing.assert_allclose(record.weights, values, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match=r"\['sum', 'max'\].*combine='mean'"):
        layers.ConcurrentSqueezeExcite(combine="mean")
    with pytest.raises(ValueError, match="too few channels for its ratio"):
        layers.ConcurrentSqueezeExcite(ratio=16)(np.zeros((2, 3, 3, 15)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.ConcurrentSqueezeExcite()(np.zeros((2, 16)))
