import numpy as np
import pytest
from support.image_cases import both_formats
from support.image_heads import self_attention

from attention_zoo import layers


def formula(size, shift, num_heads):
    """Windows as lists of positions, cut at `size`-multiples from `-shift` on.

    A window that the shift moves over the edge comes back on the other side; the two
    parts do not see each other.
    """

    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        batch, height, width, channels = x.shape
        padded = [-(-n // size) * size for n in (height, width)]
        table = weights["heads/score/position_bias"].reshape(
            2 * size - 1, 2 * size - 1, num_heads
        )
        output, scores = np.zeros(x.shape), []
        for top in range(0, padded[0], size):
            for left in range(0, padded[1], size):
                window, bias = [], np.zeros((num_heads, size**2, size**2))
                for i, j in np.ndindex(size, size):
                    h, w = top + i + shift, left + j + shift
                    side = (h >= padded[0], w >= padded[1])
                    window.append((h % padded[0], w % padded[1], side))
                visible = np.zeros((size**2, size**2), bool)
                for a, (h, w, side) in enumerate(window):
                    for b, (g, v, other) in enumerate(window):
                        inside = max(h, g) < height and max(w, v) < width
                        visible[a, b] = side == other and inside
                        down, across = a // size - b // size, a % size - b % size
                        bias[:, a, b] = table[down + size - 1, across + size - 1]
                found = []
                for n in range(batch):
                    content = np.zeros((size**2, channels))
                    for a, (h, w, _) in enumerate(window):
                        if h < height and w < width:
                            content[a] = x[n, h, w]
                    result, attention = self_attention(
                        content, weights, "heads/", num_heads, bias, visible
                    )
                    found.append(attention)
                    for a, (h, w, _) in enumerate(window):
                        if h < height and w < width:
                            output[n, h, w] = result[a]
                scores.append(found)
        return output, np.swapaxes(np.array(scores), 0, 1)

    return compute


CASES = [
    *both_formats(
        "window_attention",
        layers.WindowAttention,
        {"num_heads": 2, "window_size": 3},
        formula(3, 0, 2),
        scores=(2, 6, 2, 9, 9),
    ),
    *both_formats(
        "window_attention-shifted",
        layers.WindowAttention,
        {"num_heads": 3, "window_size": 3, "shift_size": 1},
        formula(3, 1, 3),
        scores=(2, 6, 3, 9, 9),
    ),
]


def test_a_window_as_large_as_the_map_sees_all_of_it():
    x = np.random.default_rng(0).normal(size=(1, 5, 5, 7)).astype("float32")
    layer = layers.WindowAttention(num_heads=1, window_size=5)
    _, weights = layer(x, return_attention_scores=True)
    assert tuple(weights.shape) == (1, 1, 1, 25, 25)


def test_errors():
    with pytest.raises(ValueError, match="below window_size=7.*shift_size=7"):
        layers.WindowAttention(shift_size=7)
    with pytest.raises(ValueError, match="shift_size=-1"):
        layers.WindowAttention(shift_size=-1)
    with pytest.raises(ValueError, match="positive integer.*window_size=0"):
        layers.WindowAttention(window_size=0)
    with pytest.raises(ValueError, match="`WindowAttention` has too few channels for"):
        layers.WindowAttention(num_heads=4)(np.zeros((2, 3, 3, 3)))
    with pytest.raises(ValueError, match="of rank 4"):
        layers.WindowAttention()(np.zeros((2, 5, 16)))
