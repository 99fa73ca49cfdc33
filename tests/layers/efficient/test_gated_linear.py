import numpy as np
import pytest
from support import recurrent_formulas as f
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import GatedLinearAttention


def gated_linear(weights, inputs, masks):
    """Yang et al. 2023, equation 3 and section 4.4."""
    x, mask = f.masked(inputs, masks)
    q, k, v = (x @ weights[f"{n}/kernel"] for n in ("query", "key", "value"))
    low = x @ weights["decay_down/kernel"]
    logits = low @ weights["decay_up/kernel"] + weights["decay_up/bias"]
    decay = f.sigmoid(f.heads(logits, 3)) ** (1 / 16)
    query = f.heads(q, 3) / 2
    y, scores = f.recurrence(query, f.heads(k, 3), f.heads(v, 3), decay, mask)
    gate = x @ weights["gate/kernel"] + weights["gate/bias"]
    return f.finish(f.layer_norm(y), mask, weights, gate), scores


CASES = [
    Case(
        name="gated_linear_attention",
        cls=GatedLinearAttention,
        config={
            "num_heads": 3,
            "key_dim": 4,
            "value_dim": 5,
            "gate_rank": 2,
        },
        inputs={"inputs": (2, 7, 11)},
        formula=gated_linear,
        masks=("mask",),
        scores=(2, 3, 7, 7),
        tolerance=2e-4,
    ),
]


def test_gates_that_are_all_but_closed_keep_the_chunks_finite():
    layer, x = built_layer(CASES[0]), CASES[0].draw()["inputs"]
    bias = next(w for w in layer.weights if w.path.endswith("decay_up/bias"))
    bias.assign(np.full(bias.shape, -50.0))
    whole, _ = layer(x, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(layer(x)), to_numpy(whole), atol=1e-4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_heads": 2, "key_dim": 0}, "positive integer. Received: key_dim=0"),
        ({"num_heads": 2, "key_dim": 4, "gate_rank": 0}, "Received: gate_rank=0"),
        ({"num_heads": 2, "key_dim": 4, "chunk_size": 17}, "of at most 16. Received"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        GatedLinearAttention(**config)
