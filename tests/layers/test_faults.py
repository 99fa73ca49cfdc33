"""What users bring and layers got wrong: empty batches, integers, ragged tensors."""

import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, to_numpy

from attention_zoo import layers

pytestmark = pytest.mark.skipif(BACKEND == "jax", reason="slow to compile")


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    "normalizer", ["softmax", "sparsemax", "entmax15", "entmax", "top_k"]
)
@pytest.mark.parametrize("length", [1, 5])
def test_no_rows_give_none(normalizer, length):
    layer = layers.SelfAttention(normalizer=normalizer)
    assert layer(draw(2, length, 3)).shape == (2, length, 3)
    assert layer(draw(0, length, 3)).shape == (0, length, 3)


def test_no_rows_give_none_in_blocks_and_matches():
    non_local = layers.NonLocal(block_size=2, pool_size=2)
    assert non_local(draw(0, 7, 5, 8)).shape == (0, 7, 5, 8)
    together = layers.CoAttention()
    assert together(draw(0, 3, 4), draw(0, 5, 4)).shape == (0, 3, 16)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.AttentionPooling(), (2, 5, 3)),
        (layers.AttentionPooling(score="dot"), (2, 5, 3)),
        (layers.GatedAttentionPooling(), (2, 5, 3)),
        (layers.MultiHeadAttentionPooling(2, 3), (2, 5, 3)),
        (layers.HierarchicalAttention(), (2, 3, 5, 7)),
        (layers.GatedFusion("self_attention", residual=True), (2, 5, 3)),
        (layers.Serial(["self_attention"], residual=True), (2, 5, 3)),
        (layers.Parallel(["self_attention"], residual=True), (2, 5, 3)),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_integers_are_the_same_numbers(layer, shape, dtype):
    x = (4 * np.abs(draw(*shape))).astype(dtype)
    expected = to_numpy(layer(x.astype("float32")))
    np.testing.assert_allclose(to_numpy(layer(x)), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 3, 1), (1, 1, 5)])
def test_masks_of_hierarchies_broadcast(shape):
    layer, x = layers.HierarchicalAttention(), draw(2, 3, 5, 7)
    small = np.random.default_rng(1).random(shape) < 0.6
    expected = to_numpy(layer(x, mask=np.broadcast_to(small, (2, 3, 5))))
    np.testing.assert_allclose(to_numpy(layer(x, mask=small)), expected, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="ragged tensors are TensorFlow's")
@pytest.mark.parametrize(
    "name", ["attention", "self_attention", "attention_pooling", "auto_correlation"]
)
def test_ragged_tensors_are_refused_in_one_line(name):
    import tensorflow as tf

    x = tf.RaggedTensor.from_row_lengths(draw(5, 3), [2, 3])
    layer = layers.create_attention(name)
    given = (x, x) if layer.needs_value else (x,)
    with pytest.raises(ValueError, match=r"takes dense tensors.*to_tensor\(\)"):
        layer(*given)


@pytest.mark.parametrize("score", ["dot", "additive"])
def test_a_legacy_h5_file_opens(score, tmp_path):
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, layers.Attention(score=score)(inputs, inputs))
    model.save(tmp_path / "model.h5")
    x, loaded = draw(2, 5, 3), keras.models.load_model(tmp_path / "model.h5")
    assert loaded.layers[-1].get_config()["score"] == score
    np.testing.assert_allclose(to_numpy(loaded(x)), to_numpy(model(x)), atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA on TensorFlow")
def test_blocks_train_with_xla_and_a_smaller_last_batch():
    x = draw(5, 7, 3)
    losses = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((None, 3))
        layer = layers.Attention(score="additive", block_size=2)
        model = keras.Model(inputs, layer(inputs, inputs))
        model.compile("sgd", "mse", jit_compile=compiled)
        history = model.fit(x, x, batch_size=3, epochs=2, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA on TensorFlow")
@pytest.mark.parametrize("order", ["bahdanau", "luong"])
def test_decoders_train_with_xla_and_a_smaller_last_batch(order):
    x, values, targets = draw(5, 3, 2), draw(5, 7, 3), draw(5, 3, 5)
    losses = []
    for compiled in (False, True):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((None, 2)), keras.Input((None, 3))
        decoder = layers.AttentionDecoder(
            layers.AttentionCell(keras.layers.GRUCell(2), order=order)
        )
        model = keras.Model(inputs, decoder(*inputs))
        model.compile("sgd", "mse", jit_compile=compiled)
        history = model.fit(
            [x, values], targets, batch_size=3, epochs=1, shuffle=False, verbose=0
        )
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_top_k_of_fewer_values_than_k_in_a_graph():
    inputs = keras.Input((None, 3))
    layer = layers.Attention(normalizer="top_k")
    model = keras.Model(inputs, layer(inputs, inputs))
    model.compile(jit_compile=False)
    x = draw(3, 2, 3)  # top_k keeps 8
    expected = to_numpy(layers.Attention()(x, x))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)


def test_a_mask_for_each_head_of_differential_attention():
    x, hidden = draw(2, 5, 3), np.zeros((2, 5, 5), bool)
    hidden[:, :, :3] = True
    layer = layers.DifferentialAttention(2, 4)
    expected = to_numpy(layer(x, x, attention_mask=hidden))
    by_head = np.broadcast_to(hidden[:, None], (2, 2, 5, 5))
    got = to_numpy(layer(x, x, attention_mask=by_head))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert np.abs(expected - to_numpy(layer(x, x))).max() > 1e-3


def test_heads_of_width_one_over_as_many_steps():
    """A bias `(H, 1)` of the heads is not one of the H steps."""
    layer, x = layers.MultiHeadAttention(3, 1), draw(2, 3, 5)
    layer.build(x.shape, x.shape)
    for i, weight in enumerate(layer.weights):
        values = np.random.default_rng(i).normal(size=weight.shape)
        weight.assign(values.astype("float32"))
    longer = np.concatenate([x, np.zeros((2, 1, 5), "float32")], axis=1)
    mask = np.array([[True, True, True, False]] * 2)
    expected = to_numpy(layer(longer, longer, value_mask=mask))[:, :3]
    np.testing.assert_allclose(to_numpy(layer(x, x)), expected, atol=1e-5)
