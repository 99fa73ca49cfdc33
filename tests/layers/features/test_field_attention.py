import numpy as np
import pytest
from support.check_layer import Case

from attention_zoo.layers import FieldAttention


def autoint(weights, inputs, masks):
    """Song et al. 2019, equations 5 to 8, one head and one field at a time."""
    x, heads, width = inputs["inputs"], 2, 3
    mask = masks.get("mask", np.ones(x.shape[:2], bool))
    output = np.zeros((*x.shape[:2], heads * width))
    shares = np.zeros((len(x), heads, x.shape[1], x.shape[1]))
    names = ("query_kernel", "key_kernel", "value_kernel")
    for b, m in zip(*np.nonzero(mask), strict=True):
        seen = np.flatnonzero(mask[b])
        for h in range(heads):
            own = slice(h * width, (h + 1) * width)
            query, key, value = (weights[n][:, own] for n in names)
            scores = (x[b, seen] @ key) @ (x[b, m] @ query)
            e = np.exp(scores - scores.max())
            shares[b, h, m, seen] = e / e.sum()
            output[b, m, own] = shares[b, h, m, seen] @ (x[b, seen] @ value)
        output[b, m] += x[b, m] @ weights["residual_kernel"]
    return np.maximum(output, 0), shares


CASES = [
    Case(
        name="field_attention",
        cls=FieldAttention,
        config={"num_heads": 2, "key_dim": 3},
        inputs={"inputs": (2, 7, 5)},
        formula=autoint,
        masks=("mask",),
        scores=(2, 2, 7, 7),
    )
]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FieldAttention(0), "positive integer. Received: num_heads=0"),
        (lambda: FieldAttention(key_dim=0), "positive integer. Received: key_dim=0"),
        (lambda: FieldAttention()(np.ones((2, 3))), "rank 3. Received"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
