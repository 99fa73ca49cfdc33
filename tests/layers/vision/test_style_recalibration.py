import keras
import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_formulas import batch_norm, sigmoid, spread

from attention_zoo import layers


def formula(weights, inputs, masks):
    x = inputs["inputs"]
    axes = tuple(range(1, x.ndim - 1))
    mean, deviation = x.mean(axis=axes), np.sqrt(x.var(axis=axes) + 1e-5)
    z = weights["kernel"][:, 0] * mean + weights["kernel"][:, 1] * deviation
    gate = sigmoid(batch_norm(z, weights, "norm"))
    return x * spread(gate, x), gate


CASES = [
    *both_formats(
        "style_recalibration",
        layers.StyleRecalibration,
        {},
        formula,
        scores=(2, 11),
    ),
    *both_formats(
        "style_recalibration-1d",
        layers.StyleRecalibration,
        {},
        formula,
        shape=(2, 7, 11),
        scores=(2, 11),
    ),
]


def test_training_normalises_by_the_batch():
    layer = layers.StyleRecalibration()
    x = np.random.default_rng(0).normal(size=(7, 3, 5, 2)).astype("float32")
    _, gate = layer(x, return_attention_scores=True, training=True)
    z = np.stack([x.mean(axis=(1, 2)), np.sqrt(x.var(axis=(1, 2)) + 1e-5)], axis=-1)
    z = (z * keras.ops.convert_to_numpy(layer.kernel)).sum(axis=-1)
    z = (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-3)
    gate = keras.ops.convert_to_numpy(gate)
    np.testing.assert_allclose(gate, sigmoid(z), atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.StyleRecalibration()(np.zeros((2, 16)))
