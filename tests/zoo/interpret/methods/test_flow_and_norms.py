"""`flow` against all cuts of a small graph, `value_norm` against its formula."""

import itertools
import sys

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import layers
from attention_zoo.interpret.calls import MethodError
from attention_zoo.interpret.methods.flow import flow
from attention_zoo.interpret.methods.value_norm import value_norms

IDS = np.array([[2, 3, 5, 7, 4], [4, 1, 6, 0, 0]])


def values(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor), "float64")


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def smallest_cut(pipes, pooling, target):
    """Returns the least capacity that parts the output from a position: its flow."""
    count = len(pooling)
    nodes = [(level, t) for level in range(len(pipes) + 1) for t in range(count)]
    free = [node for node in nodes if node != (0, target)]
    best = np.inf
    for bits in itertools.product([False, True], repeat=len(free)):
        side = {**dict(zip(free, bits, strict=True)), (0, target): False}
        top = len(pipes)
        cut = sum(pooling[t] for t in range(count) if not side[top, t])
        for level, pipe in enumerate(pipes):
            for above, below in itertools.product(range(count), repeat=2):
                if side[level + 1, above] and not side[level, below]:
                    cut += pipe[above, below]
        best = min(best, cut)
    return best


def test_flow_is_the_smallest_cut():
    rng = np.random.default_rng(0)
    first, second = softmax(3 * rng.normal(size=(2, 1, 2, 3, 3)))
    pooling = softmax(3 * rng.normal(size=(1, 3)))
    mask, eye = np.ones((1, 3), bool), np.eye(3)
    pipes = [(w.mean(axis=1)[0] + eye) / 2 for w in (first, second)]
    for last, given in ((pooling[0], [pooling]), (np.full(3, 1 / 3), [])):
        found = flow([first, second, *given], mask)
        expected = [smallest_cut(pipes, last, t) for t in range(3)]
        np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_flow_through_a_pooling_alone_is_its_weights():
    weights, mask = np.array([[0.7, 0.3, 0.0]]), np.array([[True, True, False]])
    np.testing.assert_allclose(flow([weights], mask), weights)
    mixing = softmax(np.random.default_rng(2).normal(size=(1, 3, 3)))
    assert flow([mixing, weights], mask)[0, 2] == 0
    nothing = flow([mixing], np.zeros((1, 3), bool))
    np.testing.assert_array_equal(nothing, np.zeros((1, 3)))


def test_value_norms_follow_the_formula():
    rng = np.random.default_rng(1)
    weights, vectors = rng.random((2, 3, 5, 7)), rng.normal(size=(2, 3, 7, 11))
    added = np.einsum("bhqt,bhtd->bqtd", weights, vectors)
    expected = np.linalg.norm(added, axis=-1)
    np.testing.assert_allclose(value_norms(weights, vectors), expected)


def model_of(attention):
    keras.utils.set_random_seed(5)
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(11, 6, mask_zero=True, name="words")(ids)
    x = keras.layers.GlobalAveragePooling1D()(attention(x, x))
    return keras.Model(ids, keras.layers.Dense(3, "softmax")(x))


LAYERS = {
    "keras": lambda: keras.layers.MultiHeadAttention(2, 3, use_bias=True),
    "grouped": lambda: keras.layers.GroupQueryAttention(3, 4, 2),
    "own": lambda: layers.MultiHeadAttention(num_heads=2, key_dim=3),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_norms_of_projected_values(name):
    layer = LAYERS[name]()
    model = model_of(layer)
    for weight in layer.weights:
        if "bias" in weight.path:
            weight.assign(np.random.default_rng(3).normal(size=weight.shape))
    found = attention_zoo.explain(model, IDS, method="value_norm")
    with layers.record_attention() as records:
        model(IDS)
    weights = np.asarray(records[0].weights, "float64")
    kernels = {"/".join(w.path.split("/")[-2:]): values(w) for w in layer.weights}
    table = next(values(w) for w in model.weights if "words" in w.path)
    x = table[IDS] * (IDS != 0)[..., None] if name == "own" else table[IDS]
    vectors = np.einsum("bte,ehk->bhtk", x, kernels["value/kernel"])
    vectors += kernels["value/bias"][:, None]
    vectors = np.repeat(vectors, weights.shape[1] // vectors.shape[1], axis=1)
    vectors = np.einsum("bhtk,hkd->bhtd", vectors, kernels["attention_output/kernel"])
    norms = np.linalg.norm(np.einsum("bhqt,bhtd->bqtd", weights, vectors), axis=-1)
    for b, words in enumerate((5, 3)):
        expected = norms[b, :words, :words].mean(axis=0)
        np.testing.assert_allclose(found.attributions[b, :words], expected, atol=1e-5)
        assert (found.attributions[b, words:] == 0).all()


def test_the_norms_of_values_that_are_not_projected():
    keras.utils.set_random_seed(5)
    ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(11, 6, mask_zero=True)(ids)
    x = layers.AttentionPooling(name="pool")(x)
    model = keras.Model(ids, keras.layers.Dense(3, "softmax")(x))
    found = attention_zoo.explain(model, IDS, method="value_norm")
    lengths = np.linalg.norm(values(model.weights[0])[IDS], axis=-1)
    expected = found.weights["pool"] * lengths
    np.testing.assert_allclose(found.attributions, expected, atol=1e-5)
    flowing = attention_zoo.explain(model, IDS, method="flow").attributions
    np.testing.assert_allclose(flowing, found.weights["pool"], atol=1e-5)


def test_flow_without_scipy_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    mixing = softmax(np.random.default_rng(2).normal(size=(1, 3, 3)))
    with pytest.raises(MethodError, match="needs SciPy"):
        flow([mixing], np.ones((1, 3), bool))
