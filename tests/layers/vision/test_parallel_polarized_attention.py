import numpy as np
import pytest
from support.check_layer import built_layer, named_weights, to_numpy
from support.image_cases import both_formats
from support.image_formulas import (
    dense,
    layer_norm,
    positions,
    sigmoid,
    softmax,
    spread,
)

from attention_zoo import layers


def attend(weights, x):
    """Returns the output and both gates."""
    flat = positions(x)
    query = softmax(dense(flat, weights, "channel/query"), axis=1)
    value = dense(flat, weights, "channel/value")
    z = np.einsum("bnk,bnd->bd", query, value)
    z = layer_norm(dense(z, weights, "channel/output"), weights, "channel/norm")
    channel = sigmoid(z)
    query = dense(flat, weights, "spatial/query").mean(axis=1)
    value = dense(flat, weights, "spatial/value")
    logits = np.einsum("bnd,bd->bn", value, softmax(query, axis=-1))
    spatial = sigmoid(logits).reshape(x.shape[:-1])
    output = x * spread(channel, x) + x * spatial[..., None]
    return output, channel, spatial


def formula(weights, inputs, masks):
    return attend(weights, inputs["inputs"])[0]


CASES = [
    *both_formats(
        "parallel_polarized_attention",
        layers.ParallelPolarizedAttention,
        {},
        formula,
    ),
    *both_formats(
        "parallel_polarized_attention-1d",
        layers.ParallelPolarizedAttention,
        {},
        formula,
        shape=(2, 7, 11),
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


def test_errors():
    with pytest.raises(ValueError, match="`ParallelPolarizedAttention` has too few ch"):
        layers.ParallelPolarizedAttention()(np.zeros((2, 3, 3, 1)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.ParallelPolarizedAttention()(np.zeros((2, 16)))
