import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import LinformerAttention


def linformer(weights, inputs, masks):
    """Wang et al. 2020, equation 7, for one head without its linear maps."""
    q, v, k = inputs["query"], inputs["value"], inputs["key"]
    keep = formulas.visible(masks, 2, q.shape[1], 7)
    seen = np.ones((2, 7), bool)
    for name in ("value_mask", "key_mask"):
        seen &= masks.get(name, True)
    e, f = (weights[f"{n}_projection"][:7] for n in ("key", "value"))
    mixed_k = np.einsum("tp,btd->bpd", e, k * seen[:, :, None])
    mixed_v = np.einsum("tp,btd->bpd", f, v * seen[:, :, None])
    scores = np.einsum("bid,bpd->bip", q, mixed_k) / np.sqrt(5)
    w = formulas.softmax(scores, keep.any(-1, keepdims=True))
    return w @ mixed_v, w


CASES = [
    Case(
        name="linformer_attention",
        cls=LinformerAttention,
        config={"max_length": 13, "num_projections": 3},
        inputs={"query": (2, 11, 5), "value": (2, 7, 17), "key": (2, 7, 5)},
        formula=linformer,
        masks=("query_mask", "value_mask", "key_mask"),
        scores=(2, 11, 3),
    )
]


def test_padding_behind_changes_nothing():
    layer = built_layer(CASES[0])
    inputs = CASES[0].draw()
    expected = to_numpy(layer(**inputs))
    longer = {
        n: np.concatenate([x, np.full_like(x[:, :2], 9)], axis=1)
        for n, x in inputs.items()
        if n != "query"
    }
    mask = np.broadcast_to(np.arange(9) < 7, (2, 9))
    got = to_numpy(layer(inputs["query"], **longer, value_mask=mask))
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinformerAttention(0), "Received: max_length=0"),
        (lambda: LinformerAttention(7, -1), "Received: num_projections=-1"),
        (
            lambda: LinformerAttention(3)(np.ones((2, 5, 3)), np.ones((2, 5, 3))),
            "at most `max_length` positions. Received: max_length=3",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
