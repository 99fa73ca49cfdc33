import numpy as np
import pytest
from support import formulas
from support.check_layer import Case

from attention_zoo.layers import GatedAttentionPooling


def gated(weights, inputs, masks):
    """Ilse et al. 2018, equation 9."""
    x = inputs["inputs"]
    scores = np.zeros((2, 7))
    for b, t in np.ndindex(scores.shape):
        gate = 1 / (1 + np.exp(-x[b, t] @ weights["gate_kernel"]))
        scores[b, t] = weights["scale"] @ (
            np.tanh(x[b, t] @ weights["hidden_kernel"]) * gate
        )
    a = formulas.softmax(scores, masks.get("mask"))
    return np.einsum("bt,btd->bd", a, x), a


CASES = [
    Case(
        name="gated_attention",
        cls=GatedAttentionPooling,
        config={"units": 11},
        inputs={"inputs": (2, 7, 5)},
        formula=gated,
        masks=("mask",),
        scores=(2, 7),
    )
]


def test_config_has_no_score():
    assert "score" not in GatedAttentionPooling(3).get_config()


@pytest.mark.parametrize("units", [0, -2, 1.5])
def test_units_must_be_positive(units):
    with pytest.raises(ValueError, match=f"Received: units={units}"):
        GatedAttentionPooling(units)
