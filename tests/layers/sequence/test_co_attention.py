import numpy as np
import pytest
from support.check_layer import Case
from support.formulas import softmax, visible

from attention_zoo.layers import CoAttention


def bidaf(weights, inputs, masks):
    """Seo et al. 2017, equations 1 to 4."""
    h, u = inputs["query"], inputs["value"]
    w = [weights[f"{name}_kernel"] for name in ("query", "key", "product")]
    w = np.concatenate(w)
    mask = visible(masks, len(h), h.shape[1], u.shape[1])
    scores = np.zeros(mask.shape)
    for b, t, j in np.ndindex(scores.shape):
        if mask[b, t, j]:
            pair = [h[b, t], u[b, j], h[b, t] * u[b, j]]
            scores[b, t, j] = w @ np.concatenate(pair)
    a = softmax(scores, mask)
    best = np.where(mask, scores, -np.inf).max(axis=-1)
    best = softmax(np.where(mask.any(axis=-1), best, 0), mask.any(axis=-1))
    output = np.zeros((*h.shape[:2], 4 * h.shape[-1]))
    for b in range(len(h)):
        summary = sum(best[b, t] * h[b, t] for t in range(h.shape[1]))
        for t in range(h.shape[1]):
            seen = [j for j in range(u.shape[1]) if mask[b, t, j]]
            attended = sum((a[b, t, j] * u[b, j] for j in seen), np.zeros(u.shape[-1]))
            parts = [h[b, t], attended, h[b, t] * attended, h[b, t] * summary]
            output[b, t] = np.concatenate(parts)
    if "query_mask" in masks:
        output[~masks["query_mask"]] = 0
    return output, a


CASES = [
    Case(
        name="co_attention",
        cls=CoAttention,
        config={},
        inputs={"query": (2, 7, 5), "value": (2, 3, 5)},
        formula=bidaf,
        masks=("query_mask", "value_mask"),
        scores=(2, 7, 3),
    )
]
CONTEXT, QUESTION = np.ones((2, 7, 5)), np.ones((2, 3, 5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CoAttention()(CONTEXT, QUESTION[..., :4]),
            r"one width. Received: query.shape=\(2, 7, 5\), value.shape=\(2, 3, 4\)",
        ),
        (
            lambda: CoAttention()(CONTEXT, QUESTION, use_causal_mask=True),
            "no causal form",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
