import numpy as np
import pytest
from support.check_layer import Case, built_layer, to_numpy
from support.formulas import softmax, visible

from attention_zoo.layers import PointerAttention


def pointer(weights, inputs, masks):
    """Vinyals et al. 2015, equation 3."""
    q, k = inputs["query"], inputs["value"]
    scores = np.zeros((len(q), q.shape[1], k.shape[1]))
    w = {name.rsplit("/", 1)[-1]: x for name, x in weights.items()}
    for b, i, j in np.ndindex(scores.shape):
        hidden = q[b, i] @ w["query_kernel"] + k[b, j] @ w["key_kernel"]
        scores[b, i, j] = np.tanh(hidden + w["bias"]) @ w["scale"]
    shares = softmax(scores, visible(masks, *scores.shape))
    return shares, shares


CASES = [
    Case(
        name="pointer_attention",
        cls=PointerAttention,
        config={"units": 11},
        inputs={"query": (2, 3, 4), "value": (2, 7, 5)},
        formula=pointer,
        masks=("query_mask", "value_mask"),
        scores=(2, 3, 7),
    )
]


def test_what_was_chosen_can_be_hidden():
    layer, fed = built_layer(CASES[0]), CASES[0].draw()
    free = np.ones((2, 3, 7), bool)
    free[:, 1:, 2] = False
    output = to_numpy(layer(**fed, attention_mask=free))
    np.testing.assert_array_equal(output[:, 1:, 2], 0)
    np.testing.assert_allclose(output.sum(axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PointerAttention(0), "positive integer. Received: units=0"),
        (lambda: PointerAttention()(np.ones((2, 3, 4))), r"layer\(query, value\)"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
