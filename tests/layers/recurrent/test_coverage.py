import keras
import numpy as np
import pytest
from keras import ops
from support import formulas
from support.check_layer import Case, built_layer, to_numpy

from attention_zoo import layers

SHAPES = {"query": (2, 5, 3), "value": (2, 11, 7), "key": (2, 11, 13)}
MASKS = ("query_mask", "value_mask", "key_mask")


def formula(normalizer):
    """Equations 10 and 11 of the paper, one decoder step at a time."""

    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        bare = formulas.bare(weights)
        seen = formulas.visible(masks, len(q), q.shape[1], v.shape[1])
        out = np.zeros(seen.shape)
        for b, i in np.ndindex(seen.shape[:2]):
            coverage = out[b, :i].sum(0)
            hidden = q[b, i] @ bare["query_kernel"] + k[b] @ bare["key_kernel"]
            hidden = hidden + np.outer(coverage, bare["coverage_kernel"]) + bare["bias"]
            scores = np.tanh(hidden) @ bare["scale"]
            row = formulas.NORMALIZERS[normalizer](scores[None], seen[b, i][None])
            out[b, i] = row[0]
        return out @ v, out

    return compute


def case(normalizer="softmax", **config):
    return Case(
        name=f"coverage-{normalizer}",
        cls=layers.CoverageAttention,
        config={"units": 17, "normalizer": normalizer, **config},
        inputs=SHAPES,
        formula=formula(normalizer),
        masks=MASKS,
        scores=(2, 5, 11),
    )


CASES = [case(), case("entmax15", loss_weight=0.5)]


def call(layer, inputs, **options):
    return to_numpy(layer(**inputs, return_attention_scores=True, **options))


def overlap(weights):
    """The paper's equation 12, a loss of each step: `(B, Tq)`."""
    out = np.zeros(weights.shape[:2])
    for b, i in np.ndindex(out.shape):
        coverage = weights[b, :i].sum(0)
        out[b, i] = sum(map(min, weights[b, i], coverage))
    return out


def test_loss_without_padding():
    layer = built_layer(CASES[0], loss_weight=0.3)
    weights = call(layer, CASES[0].draw())[1]
    (loss,) = layer.losses
    np.testing.assert_allclose(
        float(to_numpy(loss)), 0.3 * overlap(weights).mean(), rtol=1e-5
    )


def test_loss_leaves_padded_queries_out():
    layer = built_layer(CASES[0])
    mask = np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], bool)
    weights = call(layer, CASES[0].draw(), query_mask=mask)[1]
    (loss,) = layer.losses
    rows = overlap(weights)
    expected = (rows[0, :4].mean() + rows[1, :2].mean()) / 2
    np.testing.assert_allclose(float(to_numpy(loss)), expected, rtol=1e-5)
    call(layer, CASES[0].draw(), query_mask=np.zeros((2, 5), bool))
    np.testing.assert_array_equal(float(to_numpy(layer.losses[0])), 0)


def test_loss_by_hand():
    """Looking twice at one key costs 1, at another nothing."""
    layer = layers.CoverageAttention(1, normalizer="hardmax")
    query, value = np.zeros((1, 2, 1)), np.zeros((1, 3, 1))
    layer(query, value)
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape))
    layer(query, value)  # all scores are equal: both queries take the first key
    np.testing.assert_allclose(float(to_numpy(layer.losses[0])), 0.5)
    layer._score.scale.assign([-1.0])
    layer.coverage_kernel.assign([1.0])
    weights = call(layer, {"query": query, "value": value})[1]
    np.testing.assert_array_equal(weights[0].argmax(-1), [0, 1])
    np.testing.assert_allclose(float(to_numpy(layer.losses[0])), 0, atol=1e-7)


def test_no_loss_is_added_with_a_weight_of_zero():
    layer = built_layer(CASES[0], loss_weight=0)
    call(layer, CASES[0].draw())
    assert layer.losses == []


def test_without_coverage_it_is_bahdanau():
    layer = built_layer(CASES[0])
    layer.coverage_kernel.assign(np.zeros(17))
    plain = layers.BahdanauAttention(17)
    plain(**CASES[0].draw())
    plain._score.set_weights(layer._score.get_weights())
    inputs = CASES[0].draw()
    for got, expected in zip(call(layer, inputs), call(plain, inputs), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_steps_are_the_whole():
    layer = built_layer(CASES[0])
    inputs, mask = CASES[0].draw(), np.ones((2, 11), bool)
    mask[0, -3:] = False
    expected = call(layer, inputs, key_mask=mask)[1]
    keys = layer.prepare(ops.convert_to_tensor(inputs["key"]))
    state = layer.initial_state(2, 11)
    for i in range(5):
        query = ops.convert_to_tensor(inputs["query"][:, i])
        weights, state = layer.step(query, keys, state, mask)
        np.testing.assert_allclose(to_numpy(weights), expected[:, i], atol=1e-6)
    np.testing.assert_allclose(to_numpy(state), expected.sum(1), atol=1e-5)


def test_a_sequence_of_queries_can_be_cut():
    layer = built_layer(CASES[0])
    inputs = CASES[0].draw()
    expected = call(layer, inputs)[1]
    first = call(layer, {**inputs, "query": inputs["query"][:, :2]})[1]
    rest = {**inputs, "query": inputs["query"][:, 2:]}
    second = call(layer, rest, state=first.sum(1))[1]
    both = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(both, expected, atol=1e-6)
    last = layer.losses[0]
    np.testing.assert_allclose(
        float(to_numpy(last)), overlap(expected)[:, 2:].mean(), rtol=1e-5
    )


def test_dropped_weights_still_count_as_covered():
    layer = built_layer(CASES[0], dropout=0.5, seed=3)
    inputs = CASES[0].draw()
    whole = call(layer, inputs)[1]
    dropped = call(layer, inputs, training=True)[1]
    kept = dropped > 0
    assert 0.2 < kept.mean() < 0.8
    np.testing.assert_allclose(dropped[kept], 2 * whole[kept], rtol=1e-5)


def test_fit_trains_the_coverage_and_reports_its_loss():
    layer = CASES[0].make(loss_weight=2.0)
    tensors = [keras.Input((None, 3)), keras.Input((None, 7))]
    model = keras.Model(tensors, layer(*tensors))
    jit_compile = keras.config.backend() != "torch"
    model.compile("sgd", "mse", jit_compile=jit_compile)
    before = [ops.convert_to_numpy(w) for w in layer.trainable_weights]
    inputs = CASES[0].draw()
    fed = [inputs["query"], inputs["value"]]
    output, weights = call(layer, dict(zip(("query", "value"), fed, strict=True)))
    target = np.ones((2, 5, 7), "float32")
    expected = np.mean((output - target) ** 2) + 2 * overlap(weights).mean()
    loss = model.train_on_batch(fed, target)
    np.testing.assert_allclose(float(to_numpy(loss)), expected, rtol=1e-4)
    for old, new in zip(before, layer.trainable_weights, strict=True):
        assert (old != ops.convert_to_numpy(new)).any(), new.path


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"units": 0}, "positive integer.*units=0"),
        ({"units": 3, "loss_weight": -1}, "at least 0.*loss_weight=-1"),
        ({"units": 3, "loss_weight": True}, "at least 0.*loss_weight=True"),
        ({"units": 3, "normalizer": "gumbel_softmax"}, "not random.*gumbel"),
    ],
)
def test_bad_arguments(config, message):
    with pytest.raises(ValueError, match=message):
        layers.CoverageAttention(**config)
