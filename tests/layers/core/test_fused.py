"""The backend's kernel is taken where the docs say so, and keeps the promises."""

import keras
import numpy as np
import pytest
from keras import ops
from support.check_layer import BACKEND, loss_and_gradients, to_numpy

from attention_zoo import layers
from attention_zoo.layers.core.fused import fused_attention
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.normalizers import masked_softmax

RNG = np.random.default_rng(0)
B, H, TQ, TV, D, DV = 2, 3, 11, 7, 5, 13
PAIRS = RNG.random((B, H, TQ, TV)) < 0.6
PAIRS[0, :, 4] = False  # a query with nothing to see
PAIRS[1, 2, 5] = False  # and one whose other heads see
PADDING = {
    "query_mask": np.arange(TQ) < np.array([[TQ], [6]]),
    "key_mask": np.arange(TV) < np.array([[5], [TV]]),
}
MASKS = {
    "none": {},
    "causal": {"causal": True},
    "step": {"causal": True, "start": 3},
    "padding": PADDING,
    "empty": {"key_mask": np.arange(TV) < np.array([[0], [TV]])},
    "window": {"window": (1, 0), "causal": True},
    "pairs": {"attention_mask": PAIRS[:, 1], "causal": True},
    "heads": {"attention_mask": PAIRS},
    "all": {**PADDING, "attention_mask": PAIRS, "causal": True, "window": (4, 2)},
}


def draw(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize("heads", [True, False])
@pytest.mark.parametrize("name", MASKS)
def test_the_kernel_gives_what_the_formula_gives(name, heads):
    """On every backend, also where it is not the better way."""
    given = {
        n: ops.convert_to_tensor(m) if isinstance(m, np.ndarray) else m
        for n, m in MASKS[name].items()
    }
    if not heads and len(MASKS[name].get("attention_mask", PAIRS[0]).shape) == 4:
        given["attention_mask"] = ops.convert_to_tensor(PAIRS[:, 1])
    mask = AttentionMask(**given, heads=heads)
    outer = (B, H) if heads else (B,)
    width = D if keras.config.backend() == "jax" else DV  # JAX has one for both
    query, key, value = (
        draw(*outer, TQ, D),
        draw(*outer, TV, D),
        draw(*outer, TV, width),
    )
    got = to_numpy(
        fused_attention(*map(ops.convert_to_tensor, (query, key, value)), mask)
    )
    scores = query @ np.swapaxes(key, -2, -1)
    visible = mask.rows(TQ, TV)
    weights = to_numpy(masked_softmax(ops.convert_to_tensor(scores), visible))
    np.testing.assert_allclose(got, weights @ value, atol=1e-5)
    np.testing.assert_array_equal(got[~(weights > 0).any(-1)], 0)
    if name == "empty":
        assert not got[0].any()


SETTINGS = {
    "plain": {},
    "grouped": {"num_kv_heads": 1},
    "window": {"window": 3},
    "rotary": {"key_dim": 6, "position": "rotary", "use_gate": True},
}
CALLS = {
    "plain": {},
    "causal": {"use_causal_mask": True},
    "padding": {
        "query_mask": np.arange(TQ) < np.array([[TQ], [6]]),
        "value_mask": np.arange(TQ) < np.array([[5], [0]]),
    },
    "pairs": {"attention_mask": RNG.random((B, TQ, TQ)) < 0.3},
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", SETTINGS)
def test_values_and_gradients_do_not_depend_on_the_path(name, call):
    results = []
    x = {"query": draw(B, TQ, D), "value": draw(B, TQ, D)}
    if "value_mask" in CALLS[call]:  # NaN in padding reaches nothing
        x["value"][0, 5:], x["query"][1, 6:] = np.nan, np.nan
    for flash in (None, False):
        config = {"num_heads": H, "key_dim": 4, "flash_attention": flash}
        layer = layers.MultiHeadAttention(**{**config, **SETTINGS[name]})
        layer.build((B, TQ, D), (B, TQ, D))
        for i, w in enumerate(layer.trainable_weights):
            w.assign(np.random.default_rng(i).normal(size=w.shape) / 2)
        paths = layers.attention_path(layer, **x, **CALLS[call])
        expected = "fused" if BACKEND == "torch" and flash is None else "whole"
        assert paths == [expected]
        output = to_numpy(layer(**x, **CALLS[call]))
        results.append((output, loss_and_gradients(layer, x, tuple(x), **CALLS[call])))
    (fast, (_, *fast_grads)), (slow, (_, *slow_grads)) = results
    np.testing.assert_allclose(fast, slow, atol=1e-5)
    np.testing.assert_array_equal(fast == 0, slow == 0)
    assert np.isfinite(fast).all()
    largest = max(abs(g).max() for g in sum(slow_grads, []))
    for a, b in zip(sum(fast_grads, []), sum(slow_grads, []), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * (1 + largest))


FUSED = "fused" if BACKEND == "torch" else None
# Configuration, call, and the path: the kernel's backends, then the others.
PATHS = {
    "plain": ({}, {}, FUSED or "whole"),
    "weights": ({}, {"return_attention_scores": True}, "whole"),
    "dropout in training": ({"dropout": 0.5}, {"training": True}, "whole"),
    "dropout outside": ({"dropout": 0.5}, {"training": False}, FUSED or "whole"),
    "another normalizer": ({"normalizer": "sparsemax"}, {}, "whole"),
    "another score": ({"score": "additive"}, {}, "whole"),
    "a projected score": ({"score": "general"}, {}, FUSED or "whole"),
    "a bias": ({"position": "alibi"}, {}, "whole"),
    "talking heads": ({"talking_heads": True}, {}, "whole"),
    "blocks": ({"block_size": 4}, {}, FUSED or "blocks"),
    "blocks, causal": ({"block_size": 4}, {"use_causal_mask": True}, FUSED or "blocks"),
    "blocks, window": ({"block_size": 4, "window": 2}, {}, "blocks"),
    "blocks, wide values": ({"block_size": 4, "value_dim": 5}, {}, "blocks"),
    "blocks, a bias": ({"block_size": 4, "position": "alibi"}, {}, "recomputed"),
    "no kernel": ({"flash_attention": False}, {}, "whole"),
}


@pytest.mark.parametrize("name", PATHS)
def test_the_path_is_the_one_in_the_docs(name):
    config, call, path = PATHS[name]
    layer = layers.MultiHeadAttention(H, 4, **config)
    x = draw(B, TQ, D)
    assert layers.attention_path(layer, x, x, **call) == [path]


def test_a_recorder_takes_the_weights_and_gets_the_same_output():
    layer, x = layers.Attention(), draw(B, TQ, D)
    plain = to_numpy(layer(x, x))
    assert layers.attention_path(layer, x, x) == [FUSED or "whole"]
    with layers.record_attention() as records:
        assert layers.attention_path(layer, x, x) == ["whole"]
        recorded = to_numpy(layer(x, x))
    assert [r.weights.shape for r in records] == [(B, TQ, TQ)] * 2
    np.testing.assert_allclose(recorded, plain, atol=1e-5)


def test_paths_of_a_model_in_the_order_of_calls():
    inputs = keras.Input((TQ, D))
    x = layers.MultiHeadAttention(H, 4)(inputs, inputs)
    x = layers.AttentionPooling()(x)
    model = keras.Model(inputs, x)
    paths = layers.attention_path(model, draw(B, TQ, D))
    assert paths[0] == (FUSED or "whole")


def test_a_kernel_that_must_be_used_and_cannot_is_named():
    x = draw(B, TQ, D)
    layer = layers.MultiHeadAttention(H, 4, flash_attention=True, position="alibi")
    with pytest.raises(ValueError, match="No flash kernel.*flash_attention=True"):
        layer(x, x)
    layer = layers.MultiHeadAttention(H, 4, flash_attention=True)
    with pytest.raises(ValueError, match="No flash kernel.*flash_attention=True"):
        layer(x, x, return_attention_scores=True)


def test_the_kernel_can_be_switched_off_for_all():
    layer, x = layers.MultiHeadAttention(H, 4), draw(B, TQ, D)
    before = keras.config.is_flash_attention_enabled()
    try:
        keras.config.disable_flash_attention()
        assert layers.attention_path(layer, x, x) == ["whole"]
    finally:
        if before is not False:
            keras.config.enable_flash_attention()
    assert "whole" in layers.attention_path(layer, x, x, return_attention_scores=True)
