import numpy as np
from support import formulas
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import AdaptiveAttention


def adaptive(weights, inputs, masks):
    """Lu et al. 2017, equations 8 to 13, the sentinel made from the query."""
    q, v, w = inputs["query"], inputs["value"], formulas.bare(weights)
    gate = 1 / (1 + np.exp(-(q @ w["gate_kernel"] + w["gate_bias"])))
    own = gate * np.tanh(q @ w["sentinel_kernel"])
    scores = np.zeros((2, 11, 8))
    for b, i in np.ndindex(2, 11):
        wanted = q[b, i] @ w["query_kernel"] + w["bias"]
        for j in range(7):
            offered = v[b, j] @ w["key_kernel"]
            scores[b, i, j] = w["scale"] @ np.tanh(wanted + offered)
        offered = own[b, i] @ w["sentinel_score_kernel"]
        scores[b, i, 7] = w["scale"] @ np.tanh(wanted + offered)
    mask = np.ones((2, 11, 8), bool)
    mask[..., :7] = formulas.visible(masks, 2, 11, 7)
    if "query_mask" in masks:
        mask[..., 7] = masks["query_mask"]
    a = formulas.softmax(scores, mask)
    return a[..., :7] @ v + a[..., 7:] * own, a


CASES = [
    Case(
        name="adaptive_attention",
        cls=AdaptiveAttention,
        config={"units": 13},
        inputs={"query": (2, 11, 3), "value": (2, 7, 5)},
        formula=adaptive,
        masks=("query_mask", "value_mask"),
        scores=(2, 11, 8),
    )
]


def test_without_any_visible_value_the_sentinel_is_all():
    layer = built_layer(CASES[0])
    hidden = np.zeros((2, 7), bool)
    _, weights = to_numpy(
        layer(**CASES[0].draw(), value_mask=hidden, return_attention_scores=True)
    )
    np.testing.assert_array_equal(weights[..., :7], 0)
    np.testing.assert_allclose(weights[..., 7], 1, atol=1e-6)


def test_causal_mask_leaves_the_sentinel_visible():
    layer = built_layer(CASES[0])
    _, weights = to_numpy(
        layer(**CASES[0].draw(), use_causal_mask=True, return_attention_scores=True)
    )
    future = np.arange(7) > np.arange(11)[:, None]
    assert (weights[:, future.nonzero()[0], future.nonzero()[1]] == 0).all()
    assert (weights[..., 7] > 0).all()
