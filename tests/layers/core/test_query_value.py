"""What every attention stands on: how it is called, its arguments and its masks."""

import inspect

import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, to_numpy

from attention_zoo import layers
from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.validation import check_number, check_positive_integer

rng = np.random.default_rng(0)
QUERY = rng.normal(size=(2, 3, 5)).astype("float32")
VALUE = rng.normal(size=(2, 7, 5)).astype("float32")
PAIRS = [n for f in ("sequence", "linear") for n in layers.list_attentions(family=f)]
SELVES = layers.list_attentions(family="self")


def output_of(layer, *inputs, **call):
    return to_numpy(layer(*inputs, **call))


@pytest.mark.parametrize("name", PAIRS if BACKEND != "jax" else ["attention"])
def test_the_list_form_of_keras_is_the_plain_call(name):
    layer = layers.create_attention(name)
    plain = output_of(layer, QUERY, VALUE, VALUE)
    np.testing.assert_array_equal(output_of(layer, [QUERY, VALUE]), plain)
    np.testing.assert_array_equal(output_of(layer, [QUERY, VALUE, VALUE]), plain)
    spec = layer([keras.Input((3, 5)), keras.Input((7, 5))])
    assert spec.shape == (None, 3, 5)


def test_the_list_form_takes_masks():
    layer = layers.Attention()
    mask = np.arange(7)[None] < np.array([[4], [7]])
    seen = np.ones((2, 3), bool)
    expected = output_of(layer, QUERY, VALUE, query_mask=seen, value_mask=mask)
    short = output_of(layer, QUERY[:1], VALUE[:1, :4])
    np.testing.assert_allclose(expected[:1], short, atol=1e-6)
    got = output_of(layer, [QUERY, VALUE], mask=[seen, mask])
    np.testing.assert_array_equal(got, expected)
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(9, 5, mask_zero=True)
    model = keras.Model(ids, layer([embedding(ids), embedding(ids)]))
    short = to_numpy(model(np.array([[3, 8]])))
    padded = to_numpy(model(np.array([[3, 8, 0, 0]])))
    np.testing.assert_allclose(padded[:, :2], short, atol=1e-6)
    assert model.output._keras_mask is not None


@pytest.mark.parametrize(
    ("inputs", "received"),
    [
        ((QUERY,), r"\(2, 3, 5\)"),
        (([QUERY],), r"\(2, 3, 5\)"),
        (([QUERY, VALUE, VALUE, VALUE],), r"\(2, 7, 5\), \(2, 7, 5\)"),
        (([QUERY, VALUE], VALUE), r"\(2, 7, 5\)"),
        ((QUERY, None), "NoneType"),
        (([[1.0, 2.0], [3.0, 4.0]],), "float"),
    ],
)
def test_another_structure_is_refused(inputs, received):
    with pytest.raises(ValueError, match=rf"layer\(query, value\).*{received}"):
        layers.Attention()(*inputs)


@pytest.mark.parametrize("name", SELVES)
def test_a_second_sequence_is_no_mask(name):
    layer = layers.create_attention(name)
    for second in (VALUE, (VALUE > 0)):
        with pytest.raises(ValueError, match=r"`mask`.*`Attention`.*\(2, 7, 5\)"):
            layer(VALUE, second)
    with pytest.raises(ValueError, match="`mask`.*`Attention`"):
        layer(keras.Input((7, 5)), keras.Input((7, 5)))


@pytest.mark.parametrize("name", PAIRS + SELVES)
def test_a_class_says_how_it_is_called_and_takes_what_it_lists(name):
    layer = layers.create_attention(name)
    cls = type(layer)
    assert cls.family == layers.get_family(name)
    assert cls.weights_are in ("positions", "slots")
    taken = inspect.signature(cls.call).parameters
    declared = {*cls.call_inputs, *cls.call_masks, *cls.call_options}
    assert declared <= set(taken)
    assert cls.needs_value == ("value" in taken)
    listed = list(inspect.signature(cls.__init__).parameters.values())[1:]
    own = {p.name for p in listed if p.kind is not p.VAR_KEYWORD}
    config = layer.get_config()
    saved = set(config) - {"name", "dtype", "trainable"}
    assert saved <= own
    unset = [p.default for p in listed if p.name in own - saved]  # saved once given
    assert all(default in (None, False, "zeros") for default in unset)
    assert cls.from_config(config).get_config() == config
    argument = sorted(own)[0]
    with pytest.raises(ValueError, match=f"`{cls.__name__}`.*mean.*'{argument}'"):
        cls(**{**config, argument + "s": 1})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hard_attention", {"dropout": 0.1}),
        ("differential_attention", {"score": "dot"}),
        ("nystrom_attention", {"window": 2}),
        ("nystrom_attention", {"dropout": 0.1}),
        ("linformer_attention", {"window": 2}),
        ("local_attention", {"block_size": 2}),
        ("monotonic_attention", {"normalizer": "softmax"}),
        ("monotonic_attention", {"window": 2}),
        ("coverage_attention", {"block_size": 2}),
        ("adaptive_attention", {"score": "dot"}),
    ],
)
def test_an_argument_without_effect_is_refused(name, arguments):
    with pytest.raises(ValueError, match="Unknown arguments.*Received"):
        layers.create_attention(name, **arguments)


@pytest.mark.parametrize(
    "make",
    [
        lambda **a: layers.HardAttention(**a),
        lambda **a: layers.CoverageAttention(units=4, **a),
        lambda **a: layers.LocationAwareAttention(units=4, **a),
    ],
)
def test_a_window_acts_and_is_saved(make, tmp_path):
    inputs = keras.Input((7, 5))
    layer = make(window=1)
    model = keras.Model(inputs, layer(inputs, inputs, return_attention_scores=True))
    output, weights = to_numpy(model(VALUE))
    i, j = np.arange(7)[:, None], np.arange(7)
    assert np.all(weights[:, abs(i - j) > 1] == 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(again(VALUE))[0], output, atol=1e-6)


@pytest.mark.skipif(BACKEND == "jax", reason="compiles each of them")
@pytest.mark.parametrize("name", PAIRS + SELVES)
def test_integers_are_cast(name):
    layer = layers.create_attention(name)
    counts = rng.integers(0, 9, (2, 7, 5))
    inputs = [counts] * (2 if layer.needs_value else 1)
    expected = output_of(layer, *(x.astype("float32") for x in inputs))
    np.testing.assert_array_equal(output_of(layer, *inputs), expected)


@pytest.mark.skipif(BACKEND == "jax", reason="compiles each of them")
@pytest.mark.parametrize("name", PAIRS + SELVES)
def test_a_batch_of_none(name):
    layer = layers.create_attention(name)
    inputs = [VALUE] * (2 if layer.needs_value else 1)
    layer(*inputs)
    assert output_of(layer, *(x[:0] for x in inputs)).shape == (0, 7, 5)


@pytest.mark.skipif(BACKEND == "jax", reason="compiles each of them")
@pytest.mark.parametrize("name", [*PAIRS, *SELVES])
def test_masks_broadcast(name):
    _check_broadcast(layers.create_attention(name))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Attention(block_size=2),
        lambda: layers.Attention(score="additive", block_size=2),
        lambda: layers.MultiHeadAttention(3, 2, block_size=2),
        lambda: layers.LuongAttention(alignment="local_p"),
    ],
    ids=["dot", "additive", "heads", "local_p"],
)
def test_masks_broadcast_over_blocks(make):
    _check_broadcast(make())


def _check_broadcast(layer):
    """Masks with an axis of 1 do what the same masks do in full."""
    inputs = [VALUE] * (2 if layer.needs_value else 1)
    shapes = {name: [(1, 7), (2, 1)] for name in layer.call_masks}
    if "attention_mask" in layer.call_options:
        shapes["attention_mask"] = [(1, 7, 7), (2, 1, 7), (2, 7, 1)]
    for name, few in shapes.items():
        full = (2, 7, 7) if name == "attention_mask" else (2, 7)
        for shape in few:
            mask = rng.random(shape) < 0.6
            mask[:, 0] = True
            whole = np.ascontiguousarray(np.broadcast_to(mask, full))
            got = output_of(layer, *inputs, **{name: mask})
            expected = output_of(layer, *inputs, **{name: whole})
            np.testing.assert_allclose(got, expected, atol=1e-6, err_msg=name)


def test_heads_have_masks_of_their_own():
    layer = layers.DifferentialAttention(num_heads=2, key_dim=3)
    mask = rng.random((2, 2, 3, 7)) < 0.5
    _, weights = layer(QUERY, VALUE, attention_mask=mask, return_attention_scores=True)
    weights = to_numpy(weights)
    assert np.all(weights[~mask] == 0)
    assert np.all(weights[mask] != 0)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a tf.function")
def test_top_k_of_fewer_keys_in_a_graph():
    import tensorflow as tf

    layer = layers.Attention(normalizer="top_k")
    spec = tf.TensorSpec((None, None, 5))
    compiled = tf.function(lambda q, v: layer(q, v), input_signature=[spec, spec])
    short = VALUE[:, :2]
    expected = output_of(layers.Attention(), QUERY, short)
    np.testing.assert_allclose(compiled(QUERY, short), expected, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA on TensorFlow")
@pytest.mark.parametrize("name", ["coverage_attention", "location_aware_attention"])
def test_training_compiles_with_a_smaller_last_batch(name):
    query, value = keras.Input((3, 5)), keras.Input((7, 5))
    layer = layers.create_attention(name, units=3)
    model = keras.Model([query, value], layer(query, value))
    start = model.get_weights()
    x = [np.concatenate([a, a[:1]]) for a in (QUERY, VALUE)]
    trained = []
    for compiled in (True, False):
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=compiled)
        model.fit(x, x[0], batch_size=2, shuffle=False, verbose=0)
        trained.append(model.get_weights())
    for own, plain, before in zip(*trained, start, strict=True):
        np.testing.assert_allclose(own, plain, atol=1e-5)
        assert np.abs(own - before).max() > 0


def test_a_step_beyond_the_cache():
    layer = layers.MultiHeadAttention(3, 2)
    layer.build((2, 7, 5), (2, 7, 5))
    cache = layer.initial_cache(2, 4)
    x = keras.ops.convert_to_tensor(VALUE[:, :1])
    with pytest.raises(ValueError, match="max_length=4.*index=4, n=1"):
        layer.step(x, cache, 4)
    index = keras.ops.convert_to_tensor(4, dtype="int32")
    assert np.isnan(to_numpy(layer.step(x, cache, index)[0])).all()
    last = to_numpy(layer.step(x, cache, 3)[0])
    given = keras.ops.convert_to_tensor(3, dtype="int32")
    np.testing.assert_allclose(to_numpy(layer.step(x, cache, given)[0]), last)
    assert np.isfinite(last).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "1", None, 0])
def test_numbers_are_checked(value):
    with pytest.raises(ValueError, match="`x` of `Owner`.*above 0"):
        check_number("Owner", above=0, x=value)
    with pytest.raises(ValueError, match="temperature"):
        layers.GumbelSoftmax(temperature=value)


def test_numbers_of_numpy_are_numbers(tmp_path):
    check_number("Owner", minimum=0, below=1, x=np.float32(0.5), y=np.int64(0))
    check_positive_integer("Owner", x=np.int64(3))
    inputs = keras.Input((7, 5))
    layer = layers.MultiHeadAttention(
        np.int64(3), np.int32(2), dropout=np.float64(0.25), window=np.int64(1)
    )
    model = keras.Model(inputs, layer(inputs, inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        to_numpy(again(VALUE)), to_numpy(model(VALUE)), atol=1e-6
    )


def test_prepared_keys_give_the_plain_call():
    for name in ("attention", "bahdanau_attention", "luong_attention"):
        layer = layers.create_attention(name)
        expected = to_numpy(layer(QUERY, VALUE, return_attention_scores=True))
        query, value = map(keras.ops.convert_to_tensor, (QUERY, VALUE))
        got = layer.attend_prepared(query, layer.prepare(value), value)
        for own, other in zip(to_numpy(got), expected, strict=True):
            np.testing.assert_allclose(own, other, atol=1e-6)


def test_the_base_is_there_to_be_extended():
    assert AttentionLayer.family is None
    assert AttentionLayer.weights_are is None
    with pytest.raises(NotImplementedError, match="must override `_attend`"):
        QueryValueAttention()(QUERY, VALUE)
