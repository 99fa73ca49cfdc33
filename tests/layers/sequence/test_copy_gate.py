import numpy as np
import pytest
from support.check_layer import Case, to_numpy

from attention_zoo.layers import CopyGate


def copy(weights, inputs, masks):
    """See et al. 2017, equations 8 and 9, one word at a time."""
    x, words, shares = (inputs[n] for n in ("inputs", "distribution", "weights"))
    output = np.zeros((*words.shape[:2], words.shape[2] + 3))
    mask = masks.get("inputs_mask", np.ones(x.shape[:2], bool))
    for b, t in zip(*np.nonzero(mask), strict=True):
        logit = x[b, t] @ weights["gate/kernel"][:, 0] + weights["gate/bias"][0]
        gate = 1 / (1 + np.exp(-logit)) if shares[b, t].sum() > 0 else 1.0
        output[b, t, : words.shape[2]] = gate * words[b, t]
        for i, word in enumerate(inputs["source_ids"][b].astype(int)):
            output[b, t, word] += (1 - gate) * shares[b, t, i]
    return output


CASES = [
    Case(
        name="copy_gate",
        cls=CopyGate,
        config={"extra_size": 3},
        inputs={
            "inputs": (2, 7, 5),
            "distribution": (2, 7, 2),
            "weights": (2, 7, 11),
            "source_ids": (2, 11),
        },
        formula=copy,
        masks=("inputs_mask",),
        int_inputs=("source_ids",),
    )
]
X, WORDS = np.ones((1, 2, 3), "float32"), np.full((1, 2, 4), 0.25, "float32")
WEIGHTS = np.array([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]], "float32")
IDS = np.array([[5, 2, 0]])


def test_shares_sum_to_one_and_without_words_to_copy_it_generates():
    layer = CopyGate(2)
    output, gate = layer(X, WORDS, WEIGHTS, IDS, return_gate=True)
    output, gate = to_numpy(output), to_numpy(gate)
    np.testing.assert_allclose(output.sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(output[0, 0, 5], 0.5 * (1 - gate[0, 0, 0]), atol=1e-6)
    np.testing.assert_array_equal(output[0, 1], [0.25] * 4 + [0, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CopyGate(-1), "at least 0. Received: extra_size=-1"),
        (lambda: CopyGate(1.5), "at least 0. Received: extra_size=1.5"),
        (lambda: CopyGate(1)(X, WORDS, WEIGHTS, IDS), "from 0 to 4.*from 0 to 5"),
        (lambda: CopyGate(2)(X, WORDS, WEIGHTS, IDS / 2), "integer dtype.*float"),
        (lambda: CopyGate(2)(X, WORDS, WEIGHTS, IDS[:, :2]), r"source_ids.*\(1, 2\)"),
        (lambda: CopyGate(2)(X[0], WORDS, WEIGHTS, IDS), "`inputs` of rank 3"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
