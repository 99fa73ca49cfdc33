import numpy as np
import pytest
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import ExternalAttention


def external(weights, inputs, masks):
    """Guo et al. 2021, equations 5 to 9, one column and one row at a time."""
    x = inputs["inputs"]
    mask = masks.get("mask", np.ones(x.shape[:2], bool))
    alpha = np.zeros((*x.shape[:2], 3))
    for b in range(len(x)):
        seen = np.flatnonzero(mask[b])
        for slot in range(3):
            if len(seen):
                e = np.exp(x[b, seen] @ weights["key_memory"][slot])
                alpha[b, seen, slot] = e / e.sum()
        for t in seen:
            alpha[b, t] /= alpha[b, t].sum()
    return alpha @ weights["value_memory"], alpha


CASES = [
    Case(
        name="external_attention",
        cls=ExternalAttention,
        config={"num_slots": 3},
        inputs={"inputs": (2, 7, 5)},
        formula=external,
        masks=("mask",),
        scores=(2, 7, 3),
    )
]


def test_each_position_shares_one_among_the_slots():
    layer = built_layer(CASES[0])
    _, weights = to_numpy(
        layer(CASES[0].draw()["inputs"], return_attention_scores=True)
    )
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExternalAttention(0), "positive integer. Received: num_slots=0"),
        (lambda: ExternalAttention()(np.ones((2, 3))), "rank 3. Received"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
