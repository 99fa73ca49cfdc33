import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, shake, to_numpy

from attention_zoo import layers


def formula(heads, normalizer="softmax"):
    """Lee et al. 2019, equations 6, 7 and 11 without norms, residuals and rFF."""

    def compute(weights, inputs, masks):
        x, queries = inputs["inputs"], weights["queries"]
        mask = np.ones(x.shape[:2], bool) if not masks else masks["mask"]
        output, ws = weights["attention_output/bias"], []
        for h in range(heads):
            q, k, v = (
                given @ weights[f"{name}/kernel"][:, h] + weights[f"{name}/bias"][h]
                for name, given in (("query", queries), ("key", x), ("value", x))
            )
            scores = np.einsum("qd,btd->bqt", q, k) / np.sqrt(q.shape[-1])
            w = formulas.NORMALIZERS[normalizer](scores, mask[:, None])
            output = output + w @ v @ weights["attention_output/kernel"][h]
            ws.append(w)
        output = output * mask.any(1)[:, None, None]
        return output[:, 0] if len(queries) == 1 else output, np.stack(ws, 1)

    return compute


def case(name, formula, queries, **config):
    return Case(
        name=f"multi_head_attention_pooling-{name}",
        cls=layers.MultiHeadAttentionPooling,
        config={"num_heads": 3, "key_dim": 11, **config},
        inputs={"inputs": (2, 7, 5)},
        formula=formula,
        masks=("mask",),
        scores=(2, 3, queries, 7),
    )


CASES = [
    case("one", formula(3), 1),
    case("many", formula(3, "sparsemax"), 13, num_queries=13, normalizer="sparsemax"),
]

X = np.random.default_rng(0).normal(size=(2, 7, 5)).astype("float32")


@pytest.mark.parametrize("queries", [1, 13])
def test_is_multi_head_attention_of_its_queries(queries):
    config = {"position": "alibi", "num_kv_heads": 1, "output_shape": 17}
    layer = layers.MultiHeadAttentionPooling(3, 4, num_queries=queries, **config)
    layer(X)
    shake(layer)
    plain = layers.MultiHeadAttention(3, 4, **config)
    learned = np.tile(to_numpy(layer.queries)[None], (2, 1, 1))
    plain(learned, X)
    plain.set_weights(layer.get_weights()[1:])
    mask = np.arange(7) < np.array([[5], [7]])
    got = to_numpy(layer(X, mask=mask))
    expected = to_numpy(plain(learned, X, value_mask=mask))
    assert got.shape == ((2, 17) if queries == 1 else (2, 13, 17))
    np.testing.assert_allclose(got.reshape(expected.shape), expected, atol=1e-6)


def test_the_order_of_a_set_does_not_matter():
    layer = layers.MultiHeadAttentionPooling(3, 4)
    shuffled = X[:, np.random.default_rng(1).permutation(7)]
    np.testing.assert_allclose(to_numpy(layer(X)), to_numpy(layer(shuffled)), atol=1e-6)


def test_the_mask_ends_here():
    ids = keras.Input((7,), dtype="int32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True)(ids)
    pooled = layers.MultiHeadAttentionPooling(3, 4)(embedded)
    assert getattr(pooled, "_keras_mask", None) is None
    model = keras.Model(ids, pooled)
    short, padded = np.array([[1, 2, 3]]), np.array([[1, 2, 3, 0, 0, 0, 0]])
    got = to_numpy(model(padded))
    layer = model.layers[-1]
    np.testing.assert_allclose(got, to_numpy(layer(model.layers[1](short))), atol=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match="num_queries=0"):
        layers.MultiHeadAttentionPooling(3, 4, num_queries=0)
    with pytest.raises(ValueError, match="`inputs` of rank 3"):
        layers.MultiHeadAttentionPooling(3, 4)(X[0])
