"""The gradient that is written out is the one that differentiation finds."""

import keras
import numpy as np
import pytest
from keras import ops
from support.check_layer import BACKEND, loss_and_gradients, to_numpy

from attention_zoo import layers
from attention_zoo.layers.core import blockwise as blocks
from attention_zoo.layers.core.flash import dot_softmax
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.normalizers import masked_softmax

RNG = np.random.default_rng(0)
B, H, TQ, TV, D, DV = 2, 3, 11, 7, 5, 13
SHAPES = {"query": (B, H, TQ, D), "key": (B, H, TV, D), "value": (B, H, TV, DV)}
INPUTS = {n: RNG.normal(size=s).astype("float32") for n, s in SHAPES.items()}
PAIRS = RNG.random((B, H, TQ, TV)) < 0.6
PAIRS[0, :, 4] = False  # a query with nothing to see
PADDING = {
    "query_mask": np.arange(TQ) < np.array([[TQ], [6]]),
    "key_mask": np.arange(TV) < np.array([[5], [TV]]),
}
MASKS = {
    "none": {},
    "padding": PADDING,
    "keys": {"attention_mask": PAIRS[:, 0, :1]},
    "pairs": {"attention_mask": PAIRS[:, 1], "causal": True, "start": 3},
    "heads": {"attention_mask": PAIRS},
    "all": {**PADDING, "attention_mask": PAIRS, "causal": True, "window": (4, 2)},
}


class Plain(keras.layers.Layer):
    """Softmax attention as it is differentiated by the backend."""

    def __init__(self, mask, numbers=1, **kwargs):
        super().__init__(**kwargs)
        self.mask, self.numbers = mask, numbers

    def build(self, *shapes):
        self.built = True

    def limits(self):
        given = {
            n: ops.convert_to_tensor(m) if isinstance(m, np.ndarray) else m
            for n, m in MASKS[self.mask].items()
        }
        return AttentionMask(**given, heads=True)

    def call(self, query, key, value):
        scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
        mask = self.limits().rows(TQ, TV)
        return ops.matmul(masked_softmax(scores, mask), value)


class Written(Plain):
    def call(self, query, key, value):
        return dot_softmax(query, key, value, self.limits(), 4, self.numbers)


@pytest.mark.parametrize("items", [6, 2, 1])  # of 4 x 7 scores in a block
@pytest.mark.parametrize("mask", MASKS)
def test_values_and_gradients_are_those_of_differentiation(mask, items):
    results = []
    for cls in (Plain, Written):
        layer = cls(mask, items * 4 * TV)
        layer.build()
        results.append(loss_and_gradients(layer, INPUTS, tuple(INPUTS)))
    (expected, _, expected_gradients), (got, _, gradients) = results
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    for a, b in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * (1 + abs(b).max()))


def second_gradients(layer):
    """Returns the gradients of a penalty on the gradient for the query."""
    tensors = {n: ops.convert_to_tensor(x) for n, x in INPUTS.items()}
    if BACKEND == "tensorflow":
        import tensorflow as tf

        watched = list(tensors.values())
        with tf.GradientTape() as outer:
            outer.watch(watched)
            with tf.GradientTape() as inner:
                inner.watch(watched)
                loss = ops.sum(ops.sin(layer(**tensors)))
            penalty = ops.sum(ops.square(inner.gradient(loss, tensors["query"])))
        found = outer.gradient(penalty, watched)
    elif BACKEND == "jax":
        import jax

        def penalty(tensors):
            def loss(query):
                return ops.sum(ops.sin(layer(**{**tensors, "query": query})))

            return ops.sum(ops.square(jax.grad(loss)(tensors["query"])))

        found = jax.grad(penalty)(tensors).values()
    else:
        import torch

        tensors = {n: x.detach().requires_grad_(True) for n, x in tensors.items()}
        loss = ops.sum(ops.sin(layer(**tensors)))
        (own,) = torch.autograd.grad(loss, tensors["query"], create_graph=True)
        found = torch.autograd.grad(ops.sum(ops.square(own)), list(tensors.values()))
    return to_numpy(list(found))


def test_the_gradient_can_be_differentiated():
    expected, got = (second_gradients(cls("all")) for cls in (Plain, Written))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * (1 + abs(b).max()))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_bfloat16"])
def test_low_precision_stays_near_float32(dtype):
    x = RNG.normal(size=(B, TQ, D)).astype("float32")
    mask = np.arange(TQ) < np.array([[TQ], [6]])
    results = []
    for config in ({}, {"block_size": 4, "dtype": dtype}):
        layer = layers.MultiHeadAttention(H, D, **config)
        layer.build(x.shape, x.shape)
        for i, w in enumerate(layer.weights):
            w.assign(np.random.default_rng(i).normal(size=w.shape) / 2)
        output = layer(x, x, value_mask=mask)
        fed = {"query": x, "value": x}
        _, gradients, _ = loss_and_gradients(layer, fed, (), value_mask=mask)
        results.append([to_numpy(output), *gradients])
    assert keras.backend.standardize_dtype(output.dtype) in dtype
    largest = max(abs(a).max() for a in results[0])  # of the key's bias it is 0
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, atol=0.05 * largest)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA by TensorFlow")
@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("block_size", [4, "auto"])
@pytest.mark.parametrize("numbers", [50, 2**22])
def test_blocks_are_trained_in_a_compiled_function(
    monkeypatch, numbers, block_size, jit_compile
):
    """With lengths that are not known, "auto" finds out whether blocks are worth it."""
    import tensorflow as tf

    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", numbers)
    x = tf.constant(RNG.normal(size=(B, TQ, D)).astype("float32"))
    mask = tf.constant(np.arange(TQ) < np.array([[TQ], [6]]))
    layer = layers.MultiHeadAttention(H, D, window=3)
    layer(x, x)

    def step(x, mask):
        with tf.GradientTape() as tape:
            output = layer(x, x, query_mask=mask, value_mask=mask, use_causal_mask=True)
            loss = tf.reduce_sum(tf.sin(output))
        return [output, *tape.gradient(loss, [w.value for w in layer.weights])]

    lengths = (TQ, TQ - 4)
    expected = [step(x[:, :length], mask[:, :length]) for length in lengths]
    layer.block_size = block_size
    specs = [tf.TensorSpec((None, None, D)), tf.TensorSpec((None, None), "bool")]
    compiled = tf.function(step, jit_compile=jit_compile, input_signature=specs)
    for length, whole in zip(lengths, expected, strict=True):
        got = compiled(x[:, :length], mask[:, :length])
        for a, b in zip(got, whole, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
