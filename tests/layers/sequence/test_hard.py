import keras
import numpy as np
import pytest
from keras import ops
from support import formulas
from support.check_layer import Case, to_numpy

from attention_zoo import layers
from attention_zoo.layers.sequence.hard import draw_position, log_probability

SHAPES = {"query": (2, 11, 5), "value": (2, 7, 3), "key": (2, 7, 13)}
MASKS = ("query_mask", "value_mask", "key_mask")


def formula(score):
    """The value under the largest score of those that are visible."""

    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        mask = formulas.visible(masks, len(q), q.shape[1], v.shape[1])
        scores = formulas.score(score, formulas.bare(weights), q, k)
        w = formulas.per_row(formulas.one_hot_row, scores, mask)
        return w @ v, w

    return compute


def case(score, estimator, **config):
    return Case(
        name=f"hard-{score}-{estimator}",
        cls=layers.HardAttention,
        config={"score": score, "estimator": estimator, **config},
        inputs=SHAPES,
        formula=formula(score),
        masks=MASKS,
        scores=(2, 11, 7),
        jumps=True,
    )


CASES = [
    case("additive", "straight_through", units=17),
    case("general", "gumbel", temperature=0.5, seed=3),
    case("concat", "reinforce", units=19, entropy_weight=0.1, seed=5),
    Case(
        name="reinforce_loss",
        cls=layers.ReinforceLoss,
        config={"momentum": 0.8, "weight": 0.5},
        inputs={"inputs": (2, 7), "log_probs": (2, 3), "reward": (2,)},
        formula=lambda weights, inputs, masks: inputs["inputs"],
        unread=("log_probs", "reward"),
    ),
]


def value_and_gradient(function, x):
    """Returns `function(x)`, a scalar, and its gradient, on any backend."""
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            result = function(x)
        return float(result), tape.gradient(result, x).numpy()
    if backend == "jax":
        import jax

        result, gradient = jax.value_and_grad(function)(ops.convert_to_tensor(x))
        return float(result), np.asarray(gradient)
    x = ops.convert_to_tensor(x).detach().requires_grad_(True)
    result = function(x)
    result.backward()
    return float(result.detach()), x.grad.numpy()


# Three scores with probabilities 1/2, 1/4, 1/4, and the reward of each position.
SCORES = np.log(np.array([2.0, 1.0, 1.0], "float32"))
REWARDS = np.array([1.0, -3.0, 7.0])


def expected_reward_gradient():
    """d/ds sum_j p_j r_j = p (r - mean r), by hand."""
    p = np.array([0.5, 0.25, 0.25])
    return p * (REWARDS - p @ REWARDS)


@pytest.mark.parametrize("baseline", [0.0, 2.0])
def test_enumerated_estimate_is_the_exact_gradient(baseline):
    """Four samples in the proportion of their probabilities are the expectation."""
    chosen = np.eye(3, dtype="float32")[[0, 0, 1, 2]]
    layer = layers.ReinforceLoss(weight=0.5)
    layer.build((4, 1), (4, 1), (4,))
    layer.baseline.assign(baseline)
    rewards = REWARDS[[0, 0, 1, 2]].astype("float32")

    def loss(scores):
        rows = ops.broadcast_to(scores, (4, 3))
        log_probs, _ = log_probability(rows, ops.convert_to_tensor(chosen))
        state = [v.value for v in layer.non_trainable_variables]
        *_, losses = layer.stateless_call(
            [],
            state,
            ops.zeros((4, 1)),
            ops.expand_dims(log_probs, -1),
            rewards,
            training=True,
            return_losses=True,
        )
        return losses[0]

    value, gradient = value_and_gradient(loss, SCORES)
    np.testing.assert_allclose(gradient, -0.5 * expected_reward_gradient(), atol=1e-6)
    logs = np.log([0.5, 0.5, 0.25, 0.25])
    expected = -0.5 * np.mean((rewards - baseline) * logs)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_sampled_gradient_is_unbiased():
    """The layer's own samples: their mean gradient is exact within its own error."""
    count = 20_000
    keys = np.broadcast_to(SCORES[:, None], (count, 3, 1))
    values = np.broadcast_to(REWARDS[:, None].astype("float32"), (count, 3, 1))
    layer = layers.HardAttention("dot", estimator="reinforce", seed=7)
    query = np.ones((count, 1, 1), "float32")
    layer(query, values, keys)

    context, weights, log_probs = layer(
        query,
        values,
        keys,
        training=True,
        return_attention_scores=True,
        return_log_probs=True,
    )
    weights, rewards = to_numpy(weights)[:, 0], to_numpy(context)[:, 0, 0]
    p = np.array([0.5, 0.25, 0.25])
    np.testing.assert_array_equal(np.sort(weights, -1), [[0, 0, 1]] * count)
    np.testing.assert_allclose(rewards, weights @ REWARDS, atol=1e-6)
    expected = np.log(weights @ p)
    np.testing.assert_allclose(to_numpy(log_probs)[:, 0], expected, atol=1e-5)
    # d log p(chosen) / ds = chosen - p
    gradients = rewards[:, None] * (weights - p)
    error = gradients.std(axis=0) / np.sqrt(count)
    assert (
        np.abs(gradients.mean(axis=0) - expected_reward_gradient()) < 4 * error
    ).all()


def test_gradient_reaches_the_score_through_the_loss_alone():
    """With reinforce, the sampled weights pass no gradient on, the log-probs do."""
    layer = layers.HardAttention("dot", estimator="reinforce", seed=11)
    value = np.array([[[1.0], [5.0], [2.0]]], "float32")
    key = SCORES[None, :, None]

    def run(index):
        def function(query):
            outputs = layer(query, value, key, training=True, return_log_probs=True)
            return ops.sum(outputs[index])

        return function

    query = np.ones((1, 1, 1), "float32")
    layer(query, value, key)
    assert np.abs(value_and_gradient(run(1), query)[1]).max() > 0.01
    output, gradient = value_and_gradient(lambda q: run(0)(q) + 0.0 * ops.sum(q), query)
    assert output in (1.0, 5.0, 2.0)
    np.testing.assert_array_equal(gradient, 0)


def test_draw_position_honours_the_mask():
    scores = np.zeros((4000, 3), "float32")
    scores[:, 1] = 50  # hidden, though it would always win
    mask = np.array([[True, False, True]])
    drawn = to_numpy(draw_position(ops.convert_to_tensor(scores), mask, seed=13))
    np.testing.assert_array_equal(drawn[:, 1], 0)
    np.testing.assert_array_equal(drawn.sum(-1), 1)
    assert 0.45 < drawn[:, 0].mean() < 0.55
    nothing = np.zeros((1, 3), bool)
    drawn = to_numpy(draw_position(ops.convert_to_tensor(scores), nothing, seed=13))
    np.testing.assert_array_equal(drawn, 0)


def test_log_probability_and_entropy_by_hand():
    scores = np.stack([SCORES, [3.0, 0.0, 0.0], [1.0, 2.0, 3.0]]).astype("float32")
    mask = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 0]], bool)
    chosen = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]], "float32")
    logs, entropy = to_numpy(
        log_probability(*(ops.convert_to_tensor(x) for x in (scores, chosen, mask)))
    )
    half = np.log(2)
    np.testing.assert_allclose(logs, [-half, -half, 0], atol=1e-6)
    np.testing.assert_allclose(entropy, [1.5 * half, half, 0], atol=1e-6)


def test_entropy_bonus_is_a_loss_in_training():
    layer = layers.HardAttention("dot", "reinforce", entropy_weight=0.2, seed=17)
    query, key = np.ones((1, 1, 1), "float32"), SCORES[None, :, None]
    layer(query, key)
    assert layer.losses == []
    layer(query, key, training=True)
    (loss,) = layer.losses
    np.testing.assert_allclose(float(loss), -0.2 * 1.5 * np.log(2), rtol=1e-5)


@pytest.mark.parametrize("estimator", ["gumbel", "reinforce"])
def test_training_samples_and_inference_does_not(estimator):
    layer = layers.HardAttention("dot", estimator, seed=19)
    query = np.ones((1, 500, 1), "float32")
    key = SCORES[None, :, None]
    layer(query, key)
    options = {"return_attention_scores": True}
    still = to_numpy(layer(query, key, **options)[1])[0]
    np.testing.assert_allclose(still, np.eye(3)[np.zeros(500, int)], atol=1e-6)
    drawn = to_numpy(layer(query, key, training=True, **options)[1])[0]
    np.testing.assert_allclose(drawn.max(-1), 1, atol=1e-6)
    np.testing.assert_allclose(drawn.mean(0), [0.5, 0.25, 0.25], atol=0.1)


def test_baseline_is_a_moving_average_used_before_it_moves():
    layer = layers.ReinforceLoss(momentum=0.75)
    inputs = np.array([[3.0], [4.0]], "float32")
    logs = np.array([[-1.0, -2.0], [-3.0, 0.0]], "float32")
    reward = np.array([2.0, 6.0], "float32")
    np.testing.assert_array_equal(to_numpy(layer(inputs, logs, reward)), inputs)
    assert layer.losses == []  # not in training
    layer(inputs, logs, reward, training=True)
    # mean of -(2 - 0) * -3 and -(6 - 0) * -3
    np.testing.assert_allclose(float(layer.losses[0]), 12)
    np.testing.assert_allclose(float(layer.baseline.numpy()), 1.0)
    layer(inputs, logs, np.stack([reward, reward], 1), training=True)
    # advantages 1 and 1 in the first row, 5 and 5 in the second: the mean of 3 and 15
    np.testing.assert_allclose(float(layer.losses[0]), 9)
    np.testing.assert_allclose(float(layer.baseline.numpy()), 0.75 + 0.25 * 4)


def make_task(count, seed):
    """Five positions, one of them marked in its key; its value holds the label."""
    rng = np.random.default_rng(seed)
    row, place = np.arange(count), rng.integers(0, 5, count)
    key = rng.normal(size=(count, 5, 2)).astype("float32")
    key[:, :, 0] = np.eye(5)[place]
    shown = rng.integers(0, 2, (count, 5))
    query, value = np.ones((count, 1, 3), "float32"), np.eye(2, dtype="float32")[shown]
    return [query, value, key], shown[row, place].astype("int32"), place


def make_models():
    """The docstring's pair of models, for `make_task`."""
    inputs = [keras.Input((1, 3)), keras.Input((None, 2)), keras.Input((None, 2))]
    label = keras.Input((), dtype="int32")
    attention = layers.HardAttention(
        "general", estimator="reinforce", entropy_weight=0.01, seed=23
    )
    context, log_probs = attention(*inputs, return_log_probs=True)
    head = keras.layers.Dense(2, activation="softmax")
    probabilities = head(keras.layers.Flatten()(context))
    right = ops.take_along_axis(probabilities, label[:, None], axis=-1)
    reward = ops.log(right[:, 0] + 1e-7)
    outputs = layers.ReinforceLoss()(probabilities, log_probs, reward)
    trained = keras.Model([*inputs, label], outputs)
    trained.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy")
    return trained, keras.Model(inputs, probabilities), attention


def test_reinforce_learns_where_to_look(tmp_path):
    """Through `fit`, the reward alone teaches the layer which position is marked."""
    keras.utils.set_random_seed(29)
    trained, used, attention = make_models()
    inputs, labels, _ = make_task(2048, 31)
    trained.fit([*inputs, labels], labels, epochs=4, batch_size=64, verbose=0)
    inputs, labels, place = make_task(512, 37)
    weights = to_numpy(attention(*inputs, return_attention_scores=True)[1])
    assert (weights[:, 0].argmax(-1) == place).mean() > 0.95
    predicted = used.predict(inputs, verbose=0)
    assert (predicted.argmax(-1) == labels).mean() > 0.95
    trained.save(tmp_path / "trained.keras")
    loaded = keras.models.load_model(tmp_path / "trained.keras")
    np.testing.assert_allclose(
        loaded.predict([*inputs, labels], verbose=0), predicted, atol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.HardAttention(estimator="soft"), "Expected one of.*'soft'"),
        (lambda: layers.HardAttention(temperature=0), "above 0.*temperature=0"),
        (lambda: layers.HardAttention(entropy_weight=-1), "at least 0.*weight=-1"),
        (lambda: layers.HardAttention(entropy_weight=1), "'reinforce' only"),
        (lambda: layers.ReinforceLoss(momentum=1.0), r"\[0, 1\).*momentum=1.0"),
        (
            lambda: layers.ReinforceLoss().build((2, 3), (2, 3, 1), (2,)),
            r"reward.*log_probs.shape=\(2, 3, 1\)",
        ),
        (
            lambda: layers.HardAttention()(
                keras.Input((3, 5)), keras.Input((7, 5)), return_log_probs=True
            ),
            "'reinforce' only.*return_log_probs=True",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
