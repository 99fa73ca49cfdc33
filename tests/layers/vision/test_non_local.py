import numpy as np
import pytest
from support.check_layer import shake, to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, positions, softmax

from attention_zoo import layers


def pool(x, size):
    """The maximum over windows of `size`, the odd ones out at the end."""
    rows, columns = -(-x.shape[1] // size), -(-x.shape[2] // size)
    out = np.zeros((len(x), rows, columns, x.shape[-1]))
    for r in range(rows):
        for c in range(columns):
            window = x[:, r * size : (r + 1) * size, c * size : (c + 1) * size]
            out[:, r, c] = window.max(axis=(1, 2))
    return out


def formula(pool_size):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        seen = positions(pool(x, pool_size) if pool_size > 1 else x)
        query = dense(positions(x), weights, "query")
        scores = np.einsum("bnd,bmd->bnm", query, dense(seen, weights, "key"))
        attention = softmax(scores, axis=-1)
        result = np.einsum("bnm,bmd->bnd", attention, dense(seen, weights, "value"))
        return x + dense(result, weights, "output").reshape(x.shape), attention

    return compute


CASES = [
    *both_formats("non_local", layers.NonLocal, {}, formula(1), scores=(2, 35, 35)),
    *both_formats(
        "non_local-pooled",
        layers.NonLocal,
        {"pool_size": 2, "ratio": 3},
        formula(2),
        scores=(2, 35, 12),
    ),
    *both_formats(
        "non_local-3d",
        layers.NonLocal,
        {"block_size": 8},
        formula(1),
        shape=(2, 3, 2, 5, 7),
        scores=(2, 30, 30),
    ),
]


def test_it_starts_as_the_identity():
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 11)).astype("float32")
    np.testing.assert_array_equal(to_numpy(layers.NonLocal()(x)), x)


def test_blocks_give_the_same():
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 11)).astype("float32")
    whole, blocks = layers.NonLocal(), layers.NonLocal(block_size=4)
    whole(x), blocks(x)
    shake(whole)
    blocks.set_weights(whole.get_weights())
    np.testing.assert_allclose(to_numpy(blocks(x)), to_numpy(whole(x)), atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="positive integer.*pool_size=0"):
        layers.NonLocal(pool_size=0)
    with pytest.raises(ValueError, match="`block_size` of `NonLocal`"):
        layers.NonLocal(block_size="big")
    with pytest.raises(ValueError, match="`NonLocal` has too few channels"):
        layers.NonLocal(ratio=4)(np.zeros((2, 3, 3, 3)))
    with pytest.raises(ValueError, match="of rank 3 or 4 or 5"):
        layers.NonLocal()(np.zeros((2, 16)))
