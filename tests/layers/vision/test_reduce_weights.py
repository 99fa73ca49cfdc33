"""What the weights of a vision layer are of stands on its class."""

import numpy as np
import pytest

from attention_zoo import layers
from attention_zoo.layers.registry import attention_class

MAPS = [
    name
    for family in ("channel", "spatial", "hybrid", "branch")
    for name in layers.list_attentions(family=family)
]
H, W, C = 6, 5, 32
SMALLER = {"gather_excite": (3, 3), "non_local": (3, 3)}
CONFIG = {"gather_excite": {"extent": 2}, "non_local": {"pool_size": 2}}
# Attention of positions to positions: what all give away sums to 1.
SHARES = (
    "axial_attention",
    "criss_cross",
    "neighborhood_attention",
    "non_local",
    "window_attention",
)


def records_of(name, shape):
    layer = layers.create_attention(name, **CONFIG.get(name, {}))
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    with layers.record_attention() as records:
        layer(x)
    assert records
    return layer, records


@pytest.mark.parametrize("name", MAPS + layers.list_attentions(family="temporal"))
def test_the_family_is_that_of_the_registry(name):
    assert attention_class(name).family == layers.get_family(name)


@pytest.mark.parametrize("name", MAPS)
def test_weights_lie_on_the_map(name):
    layer, records = records_of(name, (2, H, W, C))
    assert (records[0].layer is layer) == (type(layer).weights_are is not None)
    for record in records:
        reduced = record.layer.reduce_weights(record.weights, (H, W))
        kind = record.layer.weights_are
        if kind == "positions":
            assert reduced.shape == (2, *SMALLER.get(name, (H, W)))
        elif kind == "channels":
            assert reduced.shape == (2, C)
        else:
            assert kind == "branches"
            assert len(reduced) == 2
        if name in SHARES:
            np.testing.assert_allclose(reduced.sum(axis=(1, 2)), 1, rtol=1e-5)


@pytest.mark.parametrize("name", [*SHARES, "dual_attention"])
def test_weights_of_another_map_are_not_forced_onto_it(name):
    _, records = records_of(name, (2, H, W, C))
    reduced = records[0].layer.reduce_weights(records[0].weights, (2 * H, W + 8))
    assert reduced is None


def test_lines_lie_along_their_axis():
    """All look at row 1 in the columns, and at column 2 in the rows."""
    _, (columns, rows) = records_of("axial_attention", (1, H, W, C))
    weights = np.zeros_like(columns.weights)  # (B, W, heads, H, H)
    weights[..., 1] = 1
    seen = columns.layer.reduce_weights(weights, (H, W))
    expected = np.zeros((H, W))
    expected[1] = 1 / W
    np.testing.assert_allclose(seen[0], expected, rtol=1e-6)
    weights = np.zeros_like(rows.weights)  # (B, H, heads, W, W)
    weights[..., 2] = 1
    seen = rows.layer.reduce_weights(weights, (H, W))
    expected = np.zeros((H, W))
    expected[:, 2] = 1 / H
    np.testing.assert_allclose(seen[0], expected, rtol=1e-6)


def test_shifted_windows_go_back_where_they_were_cut_out():
    layer = layers.WindowAttention(num_heads=1, window_size=3, shift_size=1)
    weights = np.zeros((1, 4, 1, 9, 9))
    weights[:, 0, :, :, 0] = 1  # the first position of the first window
    seen = layer.reduce_weights(weights, (6, 5))
    expected = np.zeros((1, 6, 5))
    expected[0, 1, 1] = 9 / 30
    np.testing.assert_allclose(seen, expected)
