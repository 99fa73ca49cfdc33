import numpy as np
import pytest
from support.check_layer import Case
from support.formulas import softmax

from attention_zoo.layers import TargetAttention


def interest(use_softmax):
    """Zhou et al. 2018, equation 3, one step of the history at a time."""

    def formula(weights, inputs, masks):
        target, history = inputs["query"], inputs["value"]
        mask = masks.get("value_mask", np.ones(history.shape[:2], bool))
        scores = np.zeros(mask.shape)
        for b, t in zip(*np.nonzero(mask), strict=True):
            e, v = history[b, t], target[b]
            pair = np.concatenate([e, v, e - v, e * v])
            hidden = pair @ weights["hidden/kernel"] + weights["hidden/bias"]
            hidden = 1 / (1 + np.exp(-hidden))
            scores[b, t] = hidden @ weights["weigh/kernel"][:, 0]
            scores[b, t] += weights.get("weigh/bias", [0.0])[0]
        shares = softmax(scores, mask) if use_softmax else scores
        return np.einsum("bt,btd->bd", shares, np.where(mask[..., None], history, 0)), (
            shares
        )

    return formula


CASES = [
    Case(
        name="target_attention",
        cls=TargetAttention,
        config={"units": 11},
        inputs={"query": (2, 5), "value": (2, 7, 5)},
        formula=interest(False),
        masks=("value_mask",),
        scores=(2, 7),
        dynamic=(),
    ),
    Case(
        name="target_attention-softmax",
        cls=TargetAttention,
        config={"units": 11, "use_softmax": True},
        inputs={"query": (2, 5), "value": (2, 7, 5)},
        formula=interest(True),
        masks=("value_mask",),
        scores=(2, 7),
        dynamic=(),
    ),
]
TARGET, HISTORY = np.ones((2, 5)), np.ones((2, 7, 5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TargetAttention(0), "positive integer. Received: units=0"),
        (lambda: TargetAttention()(HISTORY, HISTORY), "`query` of rank 2"),
        (lambda: TargetAttention()(TARGET, TARGET), "`value` of rank 3"),
        (
            lambda: TargetAttention()(TARGET[:, :4], HISTORY),
            r"\(B, T, D\). Received: query.shape=\(2, 4\), value.shape=\(2, 7, 5\)",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
