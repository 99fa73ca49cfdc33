import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, shake, to_numpy

from attention_zoo import layers


def formula(score="scaled_dot", normalizer="softmax", window=None, causal=False):
    def compute(weights, inputs, masks):
        x = inputs["inputs"]
        i, j = np.arange(x.shape[1])[:, None], np.arange(x.shape[1])
        mask = formulas.visible(masks, len(x), x.shape[1], x.shape[1])
        if window:
            mask = mask & (abs(i - j) <= window)
        if causal:
            mask = mask & (j <= i)
        q, k, v = (
            x @ weights[f"{name}/kernel"] + weights.get(f"{name}/bias", 0)
            for name in ("query", "key", "value")
        )
        own = {n: w for n, w in weights.items() if n.startswith(f"{score}/")}
        scores = formulas.score(score, formulas.bare(own), q, k)
        w = formulas.NORMALIZERS[normalizer](scores, mask)
        return w @ v, w

    return compute


def case(name, formula, call=None, **config):
    return Case(
        name=f"self_attention-{name}",
        cls=layers.SelfAttention,
        config=config,
        inputs={"inputs": (2, 7, 5)},
        formula=formula,
        masks=("mask",),
        scores=(2, 7, 7),
        call=call or {},
    )


CASES = [
    case("default", formula()),
    case(
        "additive",
        formula("additive", "sparsemax", window=2),
        key_dim=13,
        value_dim=3,
        score="additive",
        normalizer="sparsemax",
        units=11,
        window=2,
        block_size=3,
    ),
    case(
        "causal",
        formula(causal=True),
        {"use_causal_mask": True},
        key_dim=17,
        use_bias=False,
    ),
]

X = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")


def test_is_the_one_headed_multi_head_attention_before_its_output():
    layer = layers.SelfAttention(3, 11)
    layer(X)
    shake(layer)
    heads = layers.MultiHeadAttention(1, 3, 11, output_shape=11)
    heads(X, X)
    for a, b in zip(heads.weights[:6], layer.weights, strict=True):
        a.assign(keras.ops.reshape(b, a.shape))
    heads.weights[6].assign(np.eye(11)[None])
    np.testing.assert_allclose(to_numpy(layer(X)), to_numpy(heads(X, X)), atol=1e-6)


def test_masks_of_keras_and_of_the_caller_meet():
    layer = layers.SelfAttention()
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(
        np.array([[1, 2, 3, 0, 0], [4, 3, 2, 1, 2]])
    )
    causal = np.tril(np.ones((2, 5, 5), bool))
    _, weights = layer(embedded, attention_mask=causal, return_attention_scores=True)
    expected = causal.copy()
    expected[0, 3:] = False
    np.testing.assert_array_equal(to_numpy(weights) > 0, expected)


def test_bad_input():
    with pytest.raises(ValueError, match="key_dim=0"):
        layers.SelfAttention(0)
    with pytest.raises(ValueError, match="value_dim=2.5"):
        layers.SelfAttention(value_dim=2.5)
    with pytest.raises(ValueError, match="`inputs` of rank 3"):
        layers.SelfAttention()(X[0])
    with pytest.raises(ValueError, match="attention_mask` of shape"):
        layers.SelfAttention()(X, attention_mask=np.ones((2, 7, 5), bool))
