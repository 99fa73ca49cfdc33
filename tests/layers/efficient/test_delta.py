import numpy as np
import pytest
from support import recurrent_formulas as f
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import DeltaAttention, GatedDeltaAttention


def unit(x):
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True) + 1e-6)


def read(x, weights, num_heads, key_dim):
    """Returns queries, keys and values `(B, T, H, ...)`, and rates `(B, T, H)`."""
    kernels = [weights[f"{n}/kernel"] for n in ("query", "key", "value")]
    joined = f.silu(
        f.convolution(x @ np.concatenate(kernels, 1), weights["conv_kernel"])
    )
    keys = num_heads * key_dim
    q, k, v = np.split(joined, [keys, 2 * keys], axis=-1)
    rate = f.sigmoid(x @ weights["rate/kernel"])
    q, k, v = (f.heads(part, num_heads) for part in (q, k, v))
    return unit(q), unit(k), v, rate


def delta(weights, inputs, masks):
    """Yang et al. 2024 (2406.06484), equations 3 and 4 and section 3.4."""
    x, mask = f.masked(inputs, masks)
    q, k, v, rate = read(x, weights, 3, 4)
    y, scores = f.recurrence(q, k, v, np.ones(1), mask, rate)
    return f.finish(f.rms_norm(y) * weights["norm_scale"], mask, weights), scores


def gated_delta(weights, inputs, masks):
    """Yang et al. 2024 (2412.06464), equation 10 and section 3.4."""
    x, mask = f.masked(inputs, masks)
    q, k, v, rate = read(x, weights, 3, 4)
    steps = f.softplus(x @ weights["step/kernel"] + weights["step_bias"])
    decay = np.exp(-np.exp(weights["decay_scale"]) * steps)[..., None]
    y, scores = f.recurrence(q, k, v, decay, mask, rate)
    y, gate = f.rms_norm(y) * weights["norm_scale"], x @ weights["gate/kernel"]
    return f.finish(y, mask, weights, gate), scores


def case(name, cls, formula):
    return Case(
        name=name,
        cls=cls,
        config={
            "num_heads": 3,
            "key_dim": 4,
            "value_dim": 5,
            "conv_size": 2,
        },
        inputs={"inputs": (2, 7, 11)},
        formula=formula,
        masks=("mask",),
        scores=(2, 3, 7, 7),
        tolerance=2e-4,
    )


CASES = [
    case("delta_attention", DeltaAttention, delta),
    case("gated_delta_attention", GatedDeltaAttention, gated_delta),
]


def test_a_key_that_comes_again_replaces_its_value():
    """With a rate of 1 and equal keys, all of the weight is on the last value."""
    layer = DeltaAttention(num_heads=1, key_dim=2, conv_size=1)
    x = np.ones((1, 5, 3), "float32")
    layer.build(x.shape)
    for w in layer.weights:
        w.assign(np.full(w.shape, 9.0 if "rate" in w.path else 0.5))
    _, scores = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(scores)[0, 0], np.eye(5), atol=1e-5)


def test_equal_keys_in_a_long_chunk_are_solved_exactly():
    layer = DeltaAttention(num_heads=1, key_dim=3, chunk_size=64)
    x = np.ones((1, 130, 5), "float32")
    whole, _ = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(layer(x)), to_numpy(whole), atol=1e-4)


@pytest.mark.parametrize("cls", [DeltaAttention, GatedDeltaAttention])
def test_errors(cls):
    with pytest.raises(ValueError, match="positive integer. Received: conv_size=0"):
        cls(num_heads=2, key_dim=4, conv_size=0)
    layer = built_layer(CASES[0])
    _, state = layer.step(np.ones((2, 11), "float32"))
    with pytest.raises(ValueError, match=r"state of batch 2, x.shape=\(1, 11\)"):
        layer.step(np.ones((1, 11), "float32"), state)
    with pytest.raises(ValueError, match="`x` of rank 2"):
        layer.step(np.ones((2, 1, 11), "float32"), state)
