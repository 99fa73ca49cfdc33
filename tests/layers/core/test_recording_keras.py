"""Keras's own attention layers are seen untouched, with the weights of each head."""

import concurrent.futures
import contextlib
import sys
import threading

import keras
import numpy as np
import pytest
from support.check_layer import BACKEND, to_numpy

from attention_zoo import layers
from attention_zoo.layers import record_attention
from attention_zoo.layers.core.recording_keras import LAYERS

X = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")
MASK = np.arange(7) < np.array([[7], [4]])
CALLS = [vars(cls).get("call") for cls in LAYERS]


class Block(keras.layers.Layer):
    """A user's layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.attention = keras.layers.MultiHeadAttention(
            2, 3, dropout=0.1, name="self_attention"
        )

    def call(self, x, training=None):
        return x + self.attention(x, x, use_causal_mask=True, training=training)


class Model(keras.Model):
    """A user's model, which is no graph."""

    def __init__(self):
        super().__init__(name="mine")
        self.blocks = [Block(name=f"block_{i}") for i in range(2)]

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def softmax(scores, mask):
    scores = np.where(mask, scores, -np.inf)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores / scores.sum(axis=-1, keepdims=True)


def scores_of_heads(layer, x=X):
    """Returns `q k / sqrt(d)` of inputs by heads `(B, H, T, T)`, in float64."""

    def project(dense):
        kernel, bias = (to_numpy(w).astype("float64") for w in dense.weights)
        return np.einsum("btd,dhe->bhte", x.astype("float64"), kernel) + bias[:, None]

    query, key = project(layer.query_dense), project(layer.key_dense)
    return np.einsum("bhqe,bhke->bhqk", query, key) / np.sqrt(layer.key_dim)


def unpatched():
    return [vars(cls).get("call") for cls in LAYERS] == CALLS


@pytest.mark.parametrize("flash", [None, True])
@pytest.mark.parametrize("causal", [False, True])
def test_heads_of_multi_head_attention_follow_the_formula(flash, causal, monkeypatch):
    layer = keras.layers.MultiHeadAttention(3, 2, flash_attention=flash)
    layer.build(X.shape, X.shape)
    if flash:  # the processor has no such kernel: the plain one stands in for it
        module = sys.modules[keras.layers.MultiHeadAttention.__module__]
        plain = module.ops.dot_product_attention

        def kernel(*args, flash_attention, **kwargs):
            assert flash_attention
            return plain(*args, flash_attention=False, **kwargs)

        monkeypatch.setattr(module.ops, "dot_product_attention", kernel)
    expected = layer(X, X, use_causal_mask=causal)
    with record_attention() as records:
        outputs = layer(X, X, use_causal_mask=causal)
    np.testing.assert_array_equal(to_numpy(outputs), to_numpy(expected))
    mask = np.tril(np.ones((7, 7), bool)) if causal else np.ones((7, 7), bool)
    weights = softmax(scores_of_heads(layer), mask)
    np.testing.assert_allclose(records[0].weights, weights, atol=1e-6)
    assert records[0].layer is layer


def test_masks_of_query_and_value_come_along():
    layer = keras.layers.MultiHeadAttention(3, 2)
    layer.build(X.shape, X.shape)
    inputs = keras.Input((7, 5))
    masked = keras.layers.Masking()(inputs)
    model = keras.Model(inputs, layer(masked, masked))
    padded = X * MASK[..., None]
    expected = to_numpy(model(padded))
    with record_attention() as records:
        outputs = model(padded)
    np.testing.assert_array_equal(to_numpy(outputs), expected)
    (record,) = records
    both = (MASK[:, :, None] & MASK[:, None])[:, None]
    seen = MASK[:, None, :, None] & np.ones((2, 3, 7, 7), bool)
    weights = softmax(
        scores_of_heads(layer, padded), both | ~seen
    )  # padded queries: as asked
    np.testing.assert_allclose(record.weights[seen], weights[seen], atol=1e-6)


def test_grouped_queries_and_subclasses():
    layer = keras.layers.GroupQueryAttention(2, 4, 2)
    expected = layer(X, X)
    with record_attention() as records:
        outputs = layer(X, X)
    np.testing.assert_array_equal(to_numpy(outputs), to_numpy(expected))
    _, weights = layer(X, X, return_attention_scores=True)
    np.testing.assert_allclose(records[0].weights, to_numpy(weights), atol=1e-6)
    assert records[0].weights.shape == (2, 4, 7, 7)

    class Mine(keras.layers.MultiHeadAttention):
        def call(self, query, value, key=None, **kwargs):
            return super().call(2 * query, value, key, **kwargs)

    layer = Mine(2, 3)
    with record_attention() as records:
        layer(X, X)
    (record,) = records
    _, weights = layer(X, X, return_attention_scores=True)
    np.testing.assert_allclose(record.weights, to_numpy(weights), atol=1e-6)


@pytest.mark.parametrize(
    "cls", [keras.layers.Attention, keras.layers.AdditiveAttention]
)
def test_attention_without_heads(cls):
    layer = cls(dropout=0.3)
    layer.build([X.shape, X.shape])
    with record_attention() as records:
        outputs = layer([X, X], mask=[MASK, MASK])
    expected, weights = layer([X, X], mask=[MASK, MASK], return_attention_scores=True)
    np.testing.assert_array_equal(to_numpy(outputs), to_numpy(expected))
    np.testing.assert_allclose(records[0].weights, to_numpy(weights), atol=1e-6)
    assert (records[0].weights[1, :, 4:] == 0).all()


def test_layers_of_one_name_are_told_apart_by_their_path():
    model = Model()
    with record_attention() as records:
        outputs = model(X)  # which also builds it
    assert [r.layer_name for r in records] == ["self_attention"] * 2
    assert [r.path for r in records] == [
        f"mine/block_{i}/self_attention" for i in range(2)
    ]
    assert [r.layer for r in records] == [b.attention for b in model.blocks]
    np.testing.assert_array_equal(to_numpy(outputs), to_numpy(model(X)))


def test_nothing_of_the_layer_changes():
    """Neither the losses nor the seeds of dropout take notice of the second look."""
    layer = keras.layers.MultiHeadAttention(
        2, 3, dropout=0.5, activity_regularizer="l2", seed=3
    )
    layer.build(X.shape, X.shape)
    before = [to_numpy(variable) for variable in layer.variables]
    expected, losses = to_numpy(layer(X, X, training=True)), len(layer.losses)
    after = [to_numpy(variable) for variable in layer.variables]
    for variable, value in zip(layer.variables, before, strict=True):
        variable.assign(value)
    with record_attention() as records:
        outputs = layer(X, X, training=True)
    np.testing.assert_array_equal(to_numpy(outputs), expected)
    assert len(layer.losses) == losses
    for variable, value in zip(layer.variables, after, strict=True):
        np.testing.assert_array_equal(to_numpy(variable), value)
    np.testing.assert_allclose(records[0].weights.sum(axis=-1), 1, atol=1e-6)


def test_no_class_stays_wrapped():
    layer = keras.layers.MultiHeadAttention(2, 3)
    layer(X, X)
    assert unpatched()
    with record_attention() as outer:
        with record_attention():
            layer(X, X)
        assert not unpatched()
        layer(X[:1], X[:1])
    assert [r.weights.shape[0] for r in outer] == [1]
    assert unpatched()
    with pytest.raises(ValueError, match="mine"), record_attention() as records:
        raise ValueError("mine")
    layer(X, X)
    assert unpatched()
    assert records == []


def test_threads_record_apart():
    layer = keras.layers.MultiHeadAttention(2, 3)
    layer(X, X)
    meet = threading.Barrier(3, timeout=30)

    def run(count):
        if count == 0:  # a thread that records nothing
            meet.wait()
            layer(X, X)
            meet.wait()
            return []
        with record_attention() as records:
            meet.wait()
            for _ in range(count):
                layer(X, X)
            meet.wait()
        return records

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = list(pool.map(run, [0, 1, 2]))
    assert [len(records) for records in found] == [0, 1, 2]
    assert unpatched()


def test_building_a_graph_records_nothing():
    with record_attention() as records:
        inputs = keras.Input((7, 5))
        model = keras.Model(inputs, Block()(inputs))
        assert records == []
        model(X)
    assert len(records) == 1
    copied = keras.Model.from_config(
        model.get_config(), custom_objects={"Block": Block}
    )
    copied.set_weights(model.get_weights())
    with record_attention() as again:
        copied(X)
    np.testing.assert_allclose(again[0].weights, records[0].weights, atol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch runs eagerly in predict")
def test_compiled_calls_are_refused_and_run_eagerly_are_seen():
    inputs = keras.Input((7, 5))
    model = keras.Model(inputs, Block()(inputs))
    with pytest.raises(RuntimeError, match="self_attention"), record_attention():
        model.predict(X, verbose=0)
    model = keras.Model(inputs, Block()(inputs))  # JAX drops the values when it fails
    with _eagerly(), record_attention() as records:
        model.predict(X, verbose=0)
    assert records[0].weights.shape == (2, 2, 7, 7)


def _eagerly():
    if BACKEND == "jax":
        import jax

        return jax.disable_jit()
    import tensorflow as tf

    @contextlib.contextmanager
    def eager():
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(False)

    return eager()


def test_own_layers_and_those_of_keras_in_the_order_of_their_calls():
    inputs = keras.Input((None, 5))
    x = keras.layers.MultiHeadAttention(2, 3, name="heads")(inputs, inputs)
    model = keras.Model(inputs, layers.AttentionPooling(name="pool")(x))
    with record_attention() as records:
        model(X)
    assert [r.path for r in records] == ["heads", "pool"]
