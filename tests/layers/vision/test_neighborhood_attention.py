import itertools

import numpy as np
import pytest
from support.check_layer import named_weights, to_numpy
from support.image_cases import both_formats
from support.image_formulas import dense, positions, softmax

from attention_zoo import layers


def neighborhood(num_heads, kernel_size):
    """Hassani et al. 2023, equations 2 to 4, position by position."""

    def formula(weights, inputs, masks):
        x = inputs["inputs"]
        batch, *sizes, channels = x.shape
        parts = (dense(x, weights, name) for name in ("query", "key", "value"))
        query, key, value = (p.reshape(batch, *sizes, num_heads, -1) for p in parts)
        width, bias = query.shape[-1], weights["position_bias"]
        output, found = np.zeros(query.shape), []
        for place in itertools.product(*map(range, sizes)):
            starts = [
                min(max(i - kernel_size // 2, 0), size - kernel_size)
                for i, size in zip(place, sizes, strict=True)
            ]
            around = list(
                itertools.product(*[range(s, s + kernel_size) for s in starts])
            )
            scores = np.zeros((batch, num_heads, len(around)))
            for n, there in enumerate(around):
                offset = 0
                for i, j in zip(place, there, strict=True):
                    offset = offset * (2 * kernel_size - 1) + j - i + kernel_size - 1
                products = (query[:, *place] * key[:, *there]).sum(axis=-1)
                scores[..., n] = products / np.sqrt(width) + bias[offset]
            found.append(softmax(scores, axis=-1))
            for n, there in enumerate(around):
                output[:, *place] += found[-1][..., n, None] * value[:, *there]
        output = dense(output.reshape(batch, *sizes, -1), weights, "output")
        return output, np.stack(found, axis=2)

    return formula


CASES = both_formats(
    "neighborhood_attention",
    layers.NeighborhoodAttention,
    {"num_heads": 2, "kernel_size": 3},
    neighborhood(2, 3),
    scores=(2, 2, 35, 9),
)


@pytest.mark.parametrize("shape", [(2, 7, 4), (2, 3, 5, 3, 4)])
def test_sequences_and_videos(shape):
    layer = layers.NeighborhoodAttention(num_heads=2, kernel_size=3, name="layer")
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    output, weights = layer(x, return_attention_scores=True)
    expected = neighborhood(2, 3)(named_weights(layer), {"inputs": x}, {})
    np.testing.assert_allclose(to_numpy(output), expected[0], atol=1e-5)
    np.testing.assert_allclose(to_numpy(weights), expected[1], atol=1e-5)


def test_an_axis_shorter_than_the_kernel_is_taken_whole():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype("float32")
    wide = layers.NeighborhoodAttention(num_heads=2, kernel_size=5)
    whole, weights = wide(x, return_attention_scores=True)
    assert weights.shape == (2, 2, 15, 15)
    wider = layers.NeighborhoodAttention(num_heads=2, kernel_size=7)
    wider.build(x.shape)
    bias = to_numpy(wide.position_bias).reshape(9, 9, 2)
    kept = [np.pad(bias, ((2, 2), (2, 2), (0, 0))).reshape(-1, 2)]
    others = [w for w in wide.get_weights() if w.shape != (81, 2)]
    names = [w.path.endswith("position_bias") for w in wider.weights]
    wider.set_weights([(kept if bias else others).pop(0) for bias in names])
    np.testing.assert_allclose(to_numpy(wider(x)), to_numpy(whole), atol=1e-5)


def test_a_neighborhood_of_the_whole_map_is_self_attention():
    layer = layers.NeighborhoodAttention(num_heads=1, kernel_size=5, name="layer")
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype("float32")
    layer.build(x.shape)
    layer.position_bias.assign(np.zeros(layer.position_bias.shape))
    weights = named_weights(layer)
    query, key, value = (
        positions(dense(x, weights, name)) for name in ("query", "key", "value")
    )
    shares = softmax(query @ key.swapaxes(1, 2) / np.sqrt(3), axis=-1)
    expected = dense(shares @ value, weights, "output").reshape(x.shape)
    np.testing.assert_allclose(to_numpy(layer(x)), expected, atol=1e-5)


def test_reduce_weights_sums_what_each_position_receives():
    layer = layers.NeighborhoodAttention(num_heads=1, kernel_size=3)
    weights = np.zeros((1, 1, 5, 3))
    weights[..., 0] = 1  # all look at the first of their neighbors: 0 0 1 2 2
    found = layer.reduce_weights(weights, (5,))
    np.testing.assert_allclose(found, [[2 / 5, 1 / 5, 2 / 5, 0, 0]])
    assert layer.reduce_weights(weights, (7,)) is None


def test_errors():
    with pytest.raises(ValueError, match="Received: kernel_size=4"):
        layers.NeighborhoodAttention(kernel_size=4)
    with pytest.raises(ValueError, match="too few channels"):
        layers.NeighborhoodAttention(num_heads=4)(np.zeros((2, 7, 7, 3)))
