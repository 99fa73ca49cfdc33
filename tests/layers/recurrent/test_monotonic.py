import keras
import numpy as np
import pytest
from keras import ops
from support import formulas
from support.check_layer import Case, built_layer, loss_and_gradients, to_numpy

from attention_zoo import layers
from attention_zoo.layers.recurrent.monotonic import monotonic_step

SHAPES = {"query": (2, 5, 3), "value": (2, 11, 7), "key": (2, 11, 13)}
MASKS = ("query_mask", "value_mask", "key_mask")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def expected_weights(p, previous):
    """The paper's equation for the expectation, as a double sum."""
    length = len(p)
    out = np.zeros(length)
    for j in range(length):
        for k in range(j + 1):
            out[j] += previous[k] * np.prod(1 - p[k:j])
        out[j] *= p[j]
    return out


def hard_weights(p, previous):
    """The paper's algorithm 1: the first chosen position, from the last one on."""
    out = np.zeros(len(p))
    if previous.any():
        for j in range(previous.argmax(), len(p)):
            if p[j] > 0.5:
                out[j] = 1
                break
    return out


def formula(score, step):
    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        bare = formulas.bare(weights)
        if score is None:
            scale = bare["scale"]
            unit = {**bare, "scale": bare["gain"] * scale / np.linalg.norm(scale)}
            scores = formulas.score("additive", unit, q, k)
        else:
            scores = formulas.score(score, bare, q, k)
        seen = formulas.visible(masks, len(q), q.shape[1], v.shape[1])
        p = np.where(seen, sigmoid(scores + bare["offset"]), 0)
        out = np.zeros(p.shape)
        for b in range(len(q)):
            previous = np.eye(v.shape[1])[0]
            for i in range(q.shape[1]):
                if seen[b, i].any():
                    out[b, i] = previous = step(p[b, i], previous)
        return out @ v, out

    return compute


def case(score, hard, **config):
    return Case(
        name=f"monotonic-{score or 'normed'}-{'hard' if hard else 'soft'}",
        cls=layers.MonotonicAttention,
        config={"score": score, "hard_inference": hard, **config},
        inputs=SHAPES,
        formula=formula(score, hard_weights if hard else expected_weights),
        masks=MASKS,
        scores=(2, 5, 11),
        jumps=hard,
    )


CASES = [
    case(None, False, units=17, noise=0.5),
    case("general", False, initial_offset=-2),
    case(None, True, units=17, initial_offset=-0.5),
    case("general", True, initial_offset=0.0),
]


def run(p, previous):
    p, previous = (ops.convert_to_tensor(np.float32(x)) for x in (p, previous))
    return to_numpy(monotonic_step(p, previous))


def test_step_by_hand():
    # From position 0 or 1, half each: stop at 1 with .5, at 2 with .25.
    got = run([[0.0, 0.5, 0.25, 1.0]], [[0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(got, [[0, 0.5, 0.125, 0.375]], atol=1e-7)


def test_hard_step_takes_the_first_from_the_last_position_on():
    chosen = np.array([[1, 0, 1, 0, 1]] * 4)
    previous = np.eye(5)[[0, 1, 3, 4]]
    np.testing.assert_array_equal(run(chosen, previous), np.eye(5)[[0, 2, 4, 4]])
    np.testing.assert_array_equal(run(chosen * 0, previous), 0)  # off the end
    np.testing.assert_array_equal(run(chosen, previous * 0), 0)  # and it stays there


@pytest.mark.parametrize("length", [1, 2, 3, 64, 97])
def test_step_equals_the_double_sum(length):
    rng = np.random.default_rng(length)
    p, previous = rng.random((2, length)), rng.dirichlet(np.ones(length), 2)
    expected = [expected_weights(*row) for row in zip(p, previous, strict=True)]
    np.testing.assert_allclose(run(p, previous), expected, atol=1e-6)


def test_long_inputs_neither_vanish_nor_explode():
    """Where a query passed 500 keys that it would have chosen, 1e-500 underflows."""
    p = np.full((1, 1009), 0.9)
    previous = np.zeros((1, 1009))
    previous[0, 500] = 1
    got = run(p, previous)
    np.testing.assert_allclose(got[0, 500:504], [0.9, 0.09, 0.009, 0.0009], rtol=1e-4)
    np.testing.assert_allclose(got.sum(), 1, rtol=1e-5)
    np.testing.assert_array_equal(got[0, :500], 0)
    # The division by a cumulative product, clipped at 1e-10 as is usual, loses it all.
    product = np.cumprod(np.append(1, 1 - p[0])[:-1])
    usual = p[0] * product * np.cumsum(previous[0] / np.clip(product, 1e-10, 1))
    assert usual.sum() < 1e-6


def test_gradients_are_finite_on_long_inputs():
    case = CASES[1]
    layer = case.make(initial_offset=4.0)
    rng = np.random.default_rng(0)
    inputs = {
        "query": rng.normal(size=(1, 3, 3)).astype("float32"),
        "value": rng.normal(size=(1, 1009, 7)).astype("float32"),
    }
    layer(**inputs)
    _, weights, grads = loss_and_gradients(layer, inputs, ("query", "value"))
    for gradient in [*weights, *grads]:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0


def call(layer, inputs, **options):
    return to_numpy(layer(**inputs, return_attention_scores=True, **options))


def test_hard_weights_move_to_the_right_only():
    keras.utils.set_random_seed(3)
    layer = built_layer(CASES[2])
    rng = np.random.default_rng(3)
    inputs = {n: rng.normal(size=(211, *s[1:])) for n, s in SHAPES.items()}
    weights = call(layer, inputs)[1]
    assert set(np.unique(weights)) == {0, 1}
    for row in weights:
        places = [w.argmax() if w.any() else 11 for w in row]
        assert places == sorted(places)
    assert len(np.unique(weights.argmax(-1))) > 3


def test_noise_is_in_training_only():
    layer = built_layer(CASES[1], seed=5, noise=1.0)
    inputs = CASES[1].draw()
    first = call(layer, inputs, training=True)[1]
    again = call(layer, inputs, training=True)[1]
    assert np.abs(first - again).max() > 0.01
    np.testing.assert_array_equal(call(layer, inputs)[1], call(layer, inputs)[1])
    quiet = built_layer(CASES[1], noise=0.0)
    np.testing.assert_array_equal(
        call(quiet, inputs, training=True)[1], call(quiet, inputs)[1]
    )


def test_training_is_soft_whatever_inference_is():
    hard = built_layer(CASES[3], noise=0.0)
    soft = built_layer(CASES[3], noise=0.0, hard_inference=False)
    soft.set_weights(hard.get_weights())
    inputs = CASES[3].draw()
    np.testing.assert_allclose(
        call(hard, inputs, training=True)[1], call(soft, inputs)[1], atol=1e-7
    )
    assert np.abs(call(hard, inputs)[1] - call(soft, inputs)[1]).max() > 0.1


@pytest.mark.parametrize("case", [CASES[0], CASES[3]], ids=str)
def test_steps_are_the_whole(case):
    layer = built_layer(case)
    inputs, mask = case.draw(), np.ones((2, 11), bool)
    mask[0, -3:] = False
    expected = call(layer, inputs, key_mask=mask)[1]
    keys = layer.prepare(ops.convert_to_tensor(inputs["key"]))
    state = layer.initial_state(2, 11, mask)
    for i in range(5):
        query = ops.convert_to_tensor(inputs["query"][:, i])
        weights, state = layer.step(query, keys, state, mask)
        np.testing.assert_allclose(to_numpy(weights), expected[:, i], atol=1e-6)
    np.testing.assert_allclose(to_numpy(state), expected[:, -1], atol=1e-6)


def test_a_sequence_of_queries_can_be_cut():
    layer = built_layer(CASES[0])
    inputs = CASES[0].draw()
    expected = call(layer, inputs)[1]
    first = call(layer, {**inputs, "query": inputs["query"][:, :2]})[1]
    rest = {**inputs, "query": inputs["query"][:, 2:]}
    second = call(layer, rest, state=first[:, -1])[1]
    both = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(both, expected, atol=1e-6)


def test_a_padded_query_leaves_the_state_alone():
    layer = built_layer(CASES[0])
    inputs = CASES[0].draw()
    expected = call(layer, inputs)[1]
    query = np.insert(inputs["query"], [1, 3], 7.0, axis=1)
    mask = np.array([[True, False, True, True, False, True, True]] * 2)
    got = call(layer, {**inputs, "query": query}, query_mask=mask)[1]
    np.testing.assert_allclose(got[mask].reshape(2, 5, 11), expected, atol=1e-6)
    np.testing.assert_array_equal(got[~mask], 0)


def test_fit_with_and_without_xla():
    """Through the loop over queries, of unknown length, gradients compile."""
    inputs = CASES[0].draw()
    for jit_compile in (False, keras.config.backend() != "torch"):
        layer = CASES[0].make()
        tensors = [keras.Input((None, 3)), keras.Input((None, 7))]
        model = keras.Model(tensors, layer(*tensors))
        model.compile("sgd", "mse", jit_compile=jit_compile)
        before = layer.get_weights()
        target = np.ones((2, 5, 7), "float32")
        loss = model.train_on_batch([inputs["query"], inputs["value"]], target)
        assert np.isfinite(loss)
        trained = len(layer.trainable_weights)
        for old, new in zip(before[:trained], layer.get_weights(), strict=False):
            assert (old != new).any()


def test_predict_on_one_length_after_another():
    """A graph that has seen several lengths is made for unknown ones."""
    layer = CASES[1].make()
    tensors = [keras.Input((None, 3)), keras.Input((None, 7))]
    model = keras.Model(tensors, layer(*tensors))
    rng = np.random.default_rng(7)
    for rows, length in ((5, 11), (2, 13), (3, 1), (1, 29)):
        query = rng.normal(size=(2, rows, 3)).astype("float32")
        value = rng.normal(size=(2, length, 7)).astype("float32")
        got = model.predict([query, value], verbose=0)
        np.testing.assert_allclose(got, to_numpy(layer(query, value)), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda c: c(noise=-1), "at least 0.*noise=-1"),
        (lambda c: c(initial_offset="low"), "a number.*initial_offset='low'"),
        (lambda c: c(score="normed"), "Expected one of.*score='normed'"),
        (lambda c: c(units=0), "positive integer.*units=0"),
        (
            lambda c: c()(
                keras.Input((5, 3)), keras.Input((11, 7)), state=keras.Input((7,))
            ),
            r"`state` of shape \(None, 11\).*state.shape=\(None, 7\)",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make(layers.MonotonicAttention)
