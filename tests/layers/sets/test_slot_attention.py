import numpy as np
import pytest
from support.check_layer import Case, built_layer, to_numpy
from support.formulas import softmax
from support.set_formulas import dense, feed, mask_of, norm

from attention_zoo.layers import SlotAttention


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(x, h, weights):
    """Cho et al. 2014 in the form of cuDNN: the reset gate acts after the product."""
    inner, outer = weights["gru/bias"]
    z, r, c = np.split(x @ weights["gru/kernel"] + inner, 3, axis=-1)
    hz, hr, hc = np.split(h @ weights["gru/recurrent_kernel"] + outer, 3, axis=-1)
    update = sigmoid(z + hz)
    return update * h + (1 - update) * np.tanh(c + sigmoid(r + hr) * hc)


def slots_of(iterations):
    """Locatello et al. 2020, algorithm 1."""

    def formula(weights, inputs, masks):
        mask = mask_of(inputs, masks)
        x = np.where(mask[..., None], inputs["inputs"], 0)
        x = norm(x, weights, "inputs_norm", 1e-5)
        k, v = dense(x, weights, "key"), dense(x, weights, "value")
        first = weights["mean"] + np.exp(weights["log_scale"]) * weights["noise"]
        slots = np.broadcast_to(first, (len(x), *first.shape))
        for _ in range(iterations):
            q = dense(norm(slots, weights, "slots_norm", 1e-5), weights, "query")
            scores = np.einsum("bnd,bsd->bns", k, q) / np.sqrt(q.shape[-1])
            attention = softmax(scores, mask[..., None])
            shares = np.where(mask[..., None], attention + 1e-8, 0)
            total = shares.sum(axis=1, keepdims=True)
            shares = shares / np.where(total > 0, total, 1)
            slots = gru(np.einsum("bns,bnd->bsd", shares, v), slots, weights)
            normed = norm(slots, weights, "feed_norm", 1e-5)
            slots = slots + feed(normed, weights, "feed_forward")
        return np.where(mask.any(axis=1)[:, None, None], slots, 0), attention

    return formula


CASES = [
    Case(
        name="slot_attention",
        cls=SlotAttention,
        config={"num_slots": 3, "slot_dim": 11, "iterations": 2, "seed": 5},
        inputs={"inputs": (2, 7, 5)},
        formula=slots_of(2),
        masks=("mask",),
        scores=(2, 7, 3),
        tolerance=5e-5,
    )
]


def test_slots_are_drawn_anew_in_training_only():
    layer, x = built_layer(CASES[0]), CASES[0].draw()["inputs"]
    np.testing.assert_array_equal(to_numpy(layer(x)), to_numpy(layer(x)))
    first, second = (to_numpy(layer(x, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.01


def test_more_slots_than_inputs():
    layer = SlotAttention(num_slots=5, seed=1)
    output, weights = layer(np.ones((2, 3, 4)), return_attention_scores=True)
    assert output.shape == (2, 5, 4)
    np.testing.assert_allclose(to_numpy(weights).sum(axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_slots": 0}, "positive integer. Received: num_slots=0"),
        ({"slot_dim": 0}, "positive integer. Received: slot_dim=0"),
        ({"iterations": 0}, "positive integer. Received: iterations=0"),
        ({"epsilon": 0}, "above 0. Received: epsilon=0"),
    ],
)
def test_errors(config, message):
    with pytest.raises(ValueError, match=message):
        SlotAttention(**config)
