import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import DenseSynthesizer, RandomSynthesizer


def dense(weights, inputs, masks):
    """Tay et al. 2020, equation 2, cut to the length of the sequence."""
    x = inputs["inputs"]
    hidden = np.maximum(x @ weights["hidden_kernel"] + weights["hidden_bias"], 0)
    scores = (hidden @ weights["score_kernel"] + weights["score_bias"])[..., :7]
    w = formulas.softmax(scores, formulas.visible(masks, 2, 7, 7))
    return w @ (x @ weights["value_kernel"]), w


def random(weights, inputs, masks):
    """Tay et al. 2020, equation 3."""
    x = inputs["inputs"]
    scores = np.broadcast_to(weights["scores"][:7, :7], (2, 7, 7))
    w = formulas.softmax(scores, formulas.visible(masks, 2, 7, 7))
    return w @ (x @ weights["value_kernel"]), w


CASES = [
    Case(
        name=name,
        cls=cls,
        config={"max_length": 13, "units": 3},
        inputs={"inputs": (2, 7, 5)},
        formula=formula,
        masks=("mask",),
        scores=(2, 7, 7),
    )
    for name, cls, formula in [
        ("dense_synthesizer", DenseSynthesizer, dense),
        ("random_synthesizer", RandomSynthesizer, random),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_causal_mask(case):
    _, weights = to_numpy(
        built_layer(case)(
            **case.draw(), use_causal_mask=True, return_attention_scores=True
        )
    )
    np.testing.assert_array_equal(weights * ~np.tri(7, dtype=bool), 0)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("cls", [DenseSynthesizer, RandomSynthesizer])
def test_errors(cls):
    with pytest.raises(ValueError, match="Received: max_length=0"):
        cls(0)
    with pytest.raises(ValueError, match="Received: units=-1"):
        cls(3, units=-1)
    with pytest.raises(ValueError, match="at most `max_length` positions"):
        cls(3)(np.ones((2, 5, 3), "float32"))
