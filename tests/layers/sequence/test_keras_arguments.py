"""`MultiHeadAttention` in the place of Keras's own layers, argument by argument."""

import keras
import numpy as np
import pytest
from support.check_layer import loss_and_gradients, shake, to_numpy

from attention_zoo import layers

RNG = np.random.default_rng(0)
SHAPES = (2, 7, 5), (2, 7, 3), (2, 7, 13)


def draw(*shape):
    return RNG.normal(size=shape).astype("float32")


def twins(shapes=SHAPES, own=None, cls=None, **config):
    """Returns Keras's layer and ours of its weights, moved off their start."""
    cls = cls or keras.layers.MultiHeadAttention
    given = (
        config if cls is not keras.layers.MultiHeadAttention else {**HEADS, **config}
    )
    other = cls(**given)
    layer = layers.MultiHeadAttention(**(own or given))
    for each in (other, layer):
        each.build(*shapes)
    shake(other)
    assert [w.shape for w in layer.weights] == [w.shape for w in other.weights]
    layer.set_weights(other.get_weights())
    return other, layer


HEADS = {"num_heads": 3, "key_dim": 4}
ARGUMENTS = {
    "value_dim": {"value_dim": 11},
    "no_bias": {"use_bias": False},
    "output_width": {"output_shape": 17},
    "output_axes": {"output_shape": (2, 11)},
    "attention_axes": {"attention_axes": 1},
    "sliding_window": {"sliding_window": 3},
    "next_to_none": {"sliding_window": 1},
    "no_flash": {"flash_attention": False},
    "gate": {"use_gate": True, "value_dim": 11},
    "gate_without_bias": {"use_gate": True, "use_bias": False},
    "dropout": {"dropout": 0.5, "seed": 3},
    "regularizers": {
        "kernel_regularizer": "l2",
        "bias_regularizer": keras.regularizers.L1(0.3),
        "activity_regularizer": keras.regularizers.L2(0.2),
        "use_gate": True,
    },
}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_means_what_it_means_in_keras(name, causal):
    other, layer = twins(**ARGUMENTS[name])
    inputs = [draw(*shape) for shape in SHAPES]
    for scores in (False, True):
        options = {"return_attention_scores": scores, "use_causal_mask": causal}
        got = layer(*inputs, **options)
        # Without scores Keras's layer on JAX takes no values of another width.
        expected = other(*inputs, **options | {"return_attention_scores": True})
        if not scores:
            expected = expected[0]
            assert layer.compute_output_shape(*SHAPES) == tuple(expected.shape)
        for a, b in zip(
            keras.tree.flatten(got), keras.tree.flatten(expected), strict=True
        ):
            np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-5)
    assert len(layer.losses) == len(other.losses)
    losses = [sum(float(to_numpy(x)) for x in each.losses) for each in (layer, other)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    config = layer.get_config()
    assert all(name in config and config[name] is not None for name in ARGUMENTS[name])
    clone = layers.MultiHeadAttention.from_config(config)
    assert clone.get_config() == config


AXES = {
    "rows": ((3, 5, 7), (3, 11, 7), 2),
    "all": ((3, 5, 7), (2, 11, 7), None),
    "two": ((3, 5, 2, 7), (3, 4, 3, 7), (2, 3)),
    "outer": ((3, 5, 7), (2, 5, 7), (1,)),
    "from_the_end": ((3, 5, 7), (3, 2, 7), -2),
}


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize("name", AXES)
def test_attention_over_axes(name, gate):
    query, value, axes = AXES[name]
    shapes = (2, *query), (2, *value), (2, *value)
    other, layer = twins(shapes, attention_axes=axes, use_gate=gate, value_dim=5)
    inputs = draw(2, *query), draw(2, *value)
    expected = to_numpy(other(*inputs, return_attention_scores=True))
    got = to_numpy(layer(*inputs, return_attention_scores=True))
    assert layer.compute_scores_shape(*shapes[:2]) == got[1].shape
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    count = len(got[1].shape) - len(shapes[0])  # of attended axes
    mask = RNG.random(got[1].shape[-2 * count :]) < 0.6
    mask[..., 0] = True
    expected = to_numpy(other(*inputs, attention_mask=mask))
    got = to_numpy(layer(*inputs, attention_mask=mask))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    spec = layer(*(keras.KerasTensor(x.shape) for x in inputs))
    assert spec.shape == got.shape == (2, *query)


def test_padding_and_order_along_one_of_two_axes():
    x = draw(2, 3, 7, 5)
    rows = layers.MultiHeadAttention(3, 4, attention_axes=2, position="rotary")
    plain = layers.MultiHeadAttention(3, 4, position="rotary")
    rows(x, x)
    plain(x[:, 0], x[:, 0])
    shake(plain)
    rows.set_weights(plain.get_weights())
    mask = np.arange(7) < np.array([[[7], [3], [0]], [[5], [7], [1]]])
    holes = np.where(mask[..., None], x, np.nan)
    options = {"use_causal_mask": True, "return_attention_scores": True}
    got, weights = rows(holes, holes, query_mask=mask, value_mask=mask, **options)
    with layers.record_attention() as records:
        rows(holes, holes, query_mask=mask, value_mask=mask, use_causal_mask=True)
    assert len(records) == 1
    np.testing.assert_array_equal(records[0].weights, to_numpy(weights))
    for row in range(3):
        part = x[:, row], x[:, row]
        masks = {"query_mask": mask[:, row], "value_mask": mask[:, row]}
        expected = to_numpy(plain(*part, **masks, **options))
        np.testing.assert_allclose(to_numpy(got)[:, row], expected[0], atol=1e-5)
        np.testing.assert_allclose(to_numpy(weights)[:, row], expected[1], atol=1e-5)
    assert not to_numpy(got)[0, 2].any()


def test_the_positional_order_is_that_of_keras():
    values = 3, 4, 11, 0.0, False, 17, None, 3, None, "he_normal", "ones"
    ours = layers.MultiHeadAttention(*values).get_config()
    theirs = keras.layers.MultiHeadAttention(*values).get_config()
    for name in ("value_dim", "use_bias", "sliding_window", "bias_initializer"):
        assert ours[name] == theirs[name], name
    assert ours["kernel_initializer"] == theirs["kernel_initializer"]


def test_grouped_heads_with_keras_arguments():
    config = {"head_dim": 4, "num_query_heads": 6, "num_key_value_heads": 2}
    further = {"use_gate": True, "sliding_window": 3, "kernel_regularizer": "l2"}
    own = {"num_heads": 6, "key_dim": 4, "num_kv_heads": 2, **further}
    grouped = keras.layers.GroupQueryAttention
    other, layer = twins(SHAPES, own, grouped, **config, **further)
    inputs = [draw(*shape) for shape in SHAPES]
    expected = to_numpy(other(*inputs, use_causal_mask=True))
    got = to_numpy(layer(*inputs, use_causal_mask=True))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    got, expected = (sum(map(float, map(to_numpy, x.losses))) for x in (layer, other))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_projections_start_apart_and_constraints_hold():
    layer = layers.MultiHeadAttention(
        3,
        4,
        use_gate=True,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        bias_initializer="ones",
        kernel_constraint="non_neg",
        bias_constraint=keras.constraints.MaxNorm(0.5),
    )
    layer.build((2, 7, 4), (2, 7, 4))
    kernels = [to_numpy(w) for w in layer.weights if w.name == "kernel"]
    assert len(kernels) == 5
    assert all(
        abs(a - b).max() > 1e-3 for a, b in zip(kernels, kernels[1:4], strict=False)
    )
    assert all(to_numpy(w).all() for w in layer.weights if w.name == "bias")
    for w in layer.trainable_weights:
        kind = (
            keras.constraints.MaxNorm if w.name == "bias" else keras.constraints.NonNeg
        )
        assert isinstance(w.constraint, kind)


def test_gate_gradients_steps_and_saving(tmp_path):
    layer = layers.MultiHeadAttention(3, 4, use_gate=True, output_shape=(2, 3))
    x = draw(2, 7, 5)
    layer(x, x)
    shake(layer)
    expected = to_numpy(layer(x, x, use_causal_mask=True))
    _, gradients, _ = loss_and_gradients(layer, {"query": x, "value": x}, ())
    assert all(g is not None for g in gradients)
    output, cache = layer.step(x[:, :4], layer.initial_cache(2, 7), 0)
    rest, _ = layer.step(x[:, 4:], cache, 4)
    steps = np.concatenate([to_numpy(output), to_numpy(rest)], 1)
    np.testing.assert_allclose(steps, expected, atol=1e-5)
    inputs = keras.Input((7, 5))
    model = keras.Model(inputs, layer(inputs, inputs, use_causal_mask=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(loaded(x)), expected, atol=1e-5)
    assert tuple(loaded.layers[-1].get_config()["output_shape"]) == (2, 3)


BAD = {
    "axes": ({"attention_axes": "1"}, "Expected None, an integer or a list"),
    "no_axes": ({"attention_axes": ()}, "Received: attention_axes=()"),
    "sliding": ({"sliding_window": 0}, "sliding_window"),
    "both": ({"sliding_window": 3, "window": 2}, "which say the same"),
    "flash": ({"flash_attention": "yes"}, "Expected None, True or False"),
    "flash_dropout": ({"flash_attention": True, "dropout": 0.5}, "dropout=0.5"),
    "output": ({"output_shape": (3, 0)}, "positive integer"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    config, message = BAD[name]
    with pytest.raises(ValueError, match=message.replace("()", r"\(\)")):
        layers.MultiHeadAttention(**HEADS, **config)


@pytest.mark.parametrize(
    ("axes", "query", "value"),
    [
        (2, (2, 7, 5), (2, 7, 5)),  # the features
        ((1, -3), (2, 3, 7, 5), (2, 3, 7, 5)),  # the same axis twice
        (2, (2, 3, 7, 5), (2, 2, 7, 5)),  # rows that do not agree
        (None, (2, 3, 7, 5), (2, 7, 5)),
    ],
)
def test_bad_axes(axes, query, value):
    layer = layers.MultiHeadAttention(3, 4, attention_axes=axes)
    with pytest.raises(ValueError, match="Received: "):
        layer(draw(*query), draw(*value))


def test_an_order_over_two_axes_is_refused():
    x = draw(2, 3, 7, 5)
    with pytest.raises(ValueError, match="along one axis"):
        layers.MultiHeadAttention(3, 4)(x, x, use_causal_mask=True)
    with pytest.raises(ValueError, match="along one axis"):
        layers.MultiHeadAttention(3, 4, window=2)(x, x)


@pytest.mark.parametrize("shape", [(2, 1, 7), (2, 15, 7)])
def test_key_and_value_of_other_lengths_are_refused(shape):
    layer = layers.MultiHeadAttention(4, 2, value_dim=2)
    with pytest.raises(ValueError, match="length|must be equal"):
        layer(np.ones((2, 4, 8)), np.ones((2, 2, 8)), np.ones(shape))
