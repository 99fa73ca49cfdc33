import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, built_layer, loss_and_gradients, to_numpy

from attention_zoo.layers import Attention, LocalAttention, LocationScore

X = np.random.default_rng(0).normal(size=(2, 41, 5)).astype("float32")


def band(left, right):
    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        mask = formulas.visible(masks, len(q), q.shape[1], v.shape[1])
        i, j = np.arange(q.shape[1])[:, None], np.arange(v.shape[1])
        mask &= (j >= i - left) & (j <= i + right)
        scores = formulas.score("scaled_dot", {}, q, k)
        w = formulas.softmax(scores, mask)
        return w @ v, w

    return compute


CASES = [
    Case(
        name=f"local_attention-{left}-{right}",
        cls=LocalAttention,
        config={"window": (left, right)},
        inputs={"query": (2, rows, 5), "value": (2, 37, 3), "key": (2, 37, 5)},
        formula=band(left, right),
        masks=("query_mask", "value_mask", "key_mask"),
        scores=(2, rows, 37),
    )
    for left, right, rows in [(2, 3, 37), (19, 1, 41)]
]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [1, 3, (0, 5), (7, 0), (30, 30), 100])
def test_same_as_attention_with_a_window(window, causal):
    mask = np.arange(41) < np.array([[41], [17]])
    options = {"query_mask": mask, "value_mask": mask, "use_causal_mask": causal}
    whole = Attention("additive", "sparsemax", units=7, window=window)
    expected = to_numpy(whole(X, X, **options))
    chunks = LocalAttention(window, "additive", normalizer="sparsemax", units=7)
    chunks(X, X)
    chunks.set_weights(whole.get_weights())
    np.testing.assert_allclose(to_numpy(chunks(X, X, **options)), expected, atol=1e-5)
    inputs = {"query": X, "value": X}
    wrt = ("query", "value")
    _, a, x = loss_and_gradients(whole, inputs, wrt, **options)
    _, b, y = loss_and_gradients(chunks, inputs, wrt, **options)
    for ours, theirs in zip([*b, *y], [*a, *x], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


def test_dropout_acts_in_training_only():
    layer = LocalAttention(3, dropout=0.5, seed=1)
    still = to_numpy(layer(X, X))
    assert np.abs(to_numpy(layer(X, X, training=True)) - still).max() > 0.1
    np.testing.assert_allclose(to_numpy(layer(X, X)), still, atol=1e-6)


def test_config_has_no_blocks():
    config = built_layer(CASES[0]).get_config()
    assert config["window"] == (2, 3)
    assert "block_size" not in config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LocalAttention(0), "Received: window=0"),
        (lambda: LocalAttention(None), "Received: window=None"),
        (lambda: LocalAttention(3, "location"), "score of contents"),
        (lambda: LocalAttention(3, LocationScore(5)), "score of contents"),
        (
            lambda: LocalAttention()(X, X, attention_mask=np.ones((2, 41, 41), bool)),
            "takes no `attention_mask`",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
