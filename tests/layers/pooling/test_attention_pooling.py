import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo.layers import AttentionPooling
from attention_zoo.layers.core.scores import SCORES

SHAPES = {"inputs": (2, 7, 5)}


def pool(scores):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        w = formulas.softmax(scores(weights, x), masks.get("mask"))
        return np.einsum("bt,btd->bd", w, x), w

    return compute


def yang(weights, x):
    hidden = np.tanh(x @ weights["additive/key_kernel"] + weights["additive/bias"])
    return hidden @ weights["additive/scale"]


def learned_query(weights, x):
    return x @ weights["query"] / np.sqrt(5)


def case(name, scores, **config):
    return Case(
        name=f"attention_pooling-{name}",
        cls=AttentionPooling,
        config=config,
        inputs=SHAPES,
        formula=pool(scores),
        masks=("mask",),
        scores=(2, 7),
    )


CASES = [
    case("additive", yang, units=11),
    case("scaled_dot", learned_query, score="scaled_dot"),
    case("uniform", lambda weights, x: np.zeros(x.shape[:2]), score=None),
]


def test_additive_pooling_has_no_weight_without_use():
    layer = built_layer(CASES[0])
    names = sorted(w.path.split("/")[-1] for w in layer.trainable_weights)
    assert names == ["bias", "key_kernel", "scale"]


def test_uniform_pooling_is_the_mean_over_what_is_not_padding():
    x = np.arange(30, dtype="float32").reshape(2, 3, 5)
    mask = np.array([[True, True, False], [False, False, False]])
    got = to_numpy(AttentionPooling(score=None)(x, mask=mask))
    np.testing.assert_allclose(got, [x[0, :2].mean(0), np.zeros(5)], atol=1e-6)


def test_unknown_length_and_no_length_at_all():
    inputs = keras.Input((None, 5))
    model = keras.Model(inputs, AttentionPooling(units=3)(inputs))
    for length in (7, 1, 0):
        got = to_numpy(model(np.ones((2, length, 5), "float32")))
        np.testing.assert_allclose(got, np.full((2, 5), float(length > 0)), atol=1e-6)


def test_dropout_acts_in_training_only():
    x = np.ones((1, 13, 2), "float32")
    layer = AttentionPooling(dropout=0.5, seed=2)
    runs = np.stack([to_numpy(layer(x, training=True)) for _ in range(50)])
    assert runs.std() > 0.05
    assert abs(runs.mean() - 1) < 0.1
    np.testing.assert_allclose(to_numpy(layer(x)), [[1, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttentionPooling(score="additiv"), "did you mean 'additive'"),
        (lambda: AttentionPooling(units=0), "Received: units=0"),
        (lambda: AttentionPooling(score="dot", units=3), "'concat' or 'additive'"),
        (lambda: AttentionPooling(dropout=1.0), "Received: dropout=1.0"),
        (lambda: AttentionPooling()(np.ones((2, 3))), "rank 3. Received"),
        (
            lambda: AttentionPooling()(np.ones((2, 3, 5)), mask=np.ones((2, 4), bool)),
            r"`mask` of shape \(2, 3\). Received: mask.shape=\(2, 4\)",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_score_pools():
    x = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")
    for score in SCORES:
        output, weights = to_numpy(
            AttentionPooling(score=score)(x, return_attention_scores=True)
        )
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(
            output, np.einsum("bt,btd->bd", weights, x), atol=1e-5
        )
