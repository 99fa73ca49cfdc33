import numpy as np
import pytest
from support import recurrent_formulas as f
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import Retention


def rotate(x):
    """Su et al. 2021, equation 34, of `(B, T, H, K)`."""
    width = x.shape[-1]
    speeds = 10000.0 ** (-np.arange(0, width, 2) / width)
    angles = (np.arange(x.shape[1])[:, None] * speeds)[None, :, None]
    a, b = x[..., 0::2], x[..., 1::2]
    turned = a * np.cos(angles) - b * np.sin(angles)
    other = a * np.sin(angles) + b * np.cos(angles)
    return np.stack([turned, other], axis=-1).reshape(x.shape)


def retention(weights, inputs, masks):
    """Sun et al. 2023, the recurrent form, equation 6, and equation 8."""
    x, mask = f.masked(inputs, masks)
    kernels = (weights[f"{n}/kernel"] for n in ("query", "key", "value", "gate"))
    q, k, v, gate = (x @ kernel for kernel in kernels)
    decay = 1 - 2.0 ** (-5 - np.arange(3))[None, None, :, None]
    query, key = rotate(f.heads(q, 3)), rotate(f.heads(k, 3)) / 2
    y, scores = f.recurrence(query, key, f.heads(v, 3), decay, mask)
    return f.finish(f.layer_norm(y), mask, weights, gate), scores


CASES = [
    Case(
        name="retention",
        cls=Retention,
        config={"num_heads": 3, "key_dim": 4, "value_dim": 5},
        inputs={"inputs": (2, 7, 11)},
        formula=retention,
        masks=("mask",),
        scores=(2, 3, 7, 7),
        tolerance=2e-4,
    ),
]


def test_the_state_counts_positions():
    layer, x = built_layer(CASES[0]), CASES[0].draw()["inputs"]
    state = layer.initial_state(2)
    assert tuple(state["memory"].shape) == (2, 3, 4, 5)
    for t in range(3):
        output, state = layer.step(x[:, t], state)
    assert int(to_numpy(state["position"])) == 3
    np.testing.assert_allclose(
        to_numpy(output), to_numpy(layer(x[:, :3]))[:, -1], atol=1e-4
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 0, "key_dim": 4}, "positive integer. Received: num_heads=0"),
        ({"num_heads": 2, "key_dim": 3}, "even `key_dim`. Received: key_dim=3"),
        ({"num_heads": 2, "key_dim": 4, "chunk_size": 0}, "Received: chunk_size=0"),
        ({"num_heads": 2, "key_dim": 4, "epsilon": 0}, "Received: epsilon=0"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        Retention(**config)
