import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, to_numpy

from attention_zoo.layers import Attention, NystromAttention


def landmarks(x, count):
    """Means of `count` segments of a row's visible positions, `(<= count, D)`."""
    segment = np.arange(len(x)) * count // max(len(x), 1)
    return np.stack([x[segment == s].mean(0) for s in np.unique(segment)])


def nystrom(weights, inputs, masks):
    """Xiong et al. 2021, equation 14, each row without its padding, a true inverse."""
    q, v, k = inputs["query"], inputs["value"], inputs["key"]
    seen_q = masks.get("query_mask", np.ones((2, 11), bool))
    seen_k = np.ones((2, 7), bool)
    for name in ("value_mask", "key_mask"):
        seen_k &= masks.get(name, True)
    w = np.zeros((2, 11, 7))
    for b in range(2):
        if not (seen_q[b].any() and seen_k[b].any()):
            continue
        few_q, few_k = landmarks(q[b][seen_q[b]], 3), landmarks(k[b][seen_k[b]], 3)

        def soft(a, c):
            return formulas.softmax(a @ c.T / np.sqrt(5))

        rows = soft(q[b][seen_q[b]], few_k) @ np.linalg.pinv(soft(few_q, few_k))
        w[b][np.ix_(seen_q[b], seen_k[b])] = rows @ soft(few_q, k[b][seen_k[b]])
    return w @ v, w


CASES = [
    Case(
        name="nystrom_attention",
        cls=NystromAttention,
        config={"num_landmarks": 3, "iterations": 15},
        inputs={"query": (2, 11, 5), "value": (2, 7, 17), "key": (2, 7, 5)},
        formula=nystrom,
        masks=("query_mask", "value_mask", "key_mask"),
        scores=(2, 11, 7),
        tolerance=1e-3,  # a small softmax matrix is nearly singular
        jumps=True,
    )
]


def test_as_many_landmarks_as_positions_is_softmax_attention():
    x = 2 * np.random.default_rng(0).normal(size=(2, 7, 11)).astype("float32")
    mask = np.arange(7) < np.array([[7], [5]])
    options = {"query_mask": mask, "value_mask": mask}
    expected = to_numpy(Attention()(x, x, **options))
    layer = NystromAttention(num_landmarks=7, iterations=25)
    np.testing.assert_allclose(to_numpy(layer(x, x, **options)), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NystromAttention(0), "Received: num_landmarks=0"),
        (lambda: NystromAttention(iterations=0), "Received: iterations=0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
