"""Any score with any normalizer, any mask and window, at once or in blocks."""

import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import loss_and_gradients, named_weights, shake, to_numpy

from attention_zoo import layers
from attention_zoo.layers.core.normalizers import NORMALIZERS
from attention_zoo.layers.core.scores import SCORES

B, TQ, TV, D, DV = 2, 11, 7, 5, 3
RNG = np.random.default_rng(0)
INPUTS = {
    "query": RNG.normal(size=(B, TQ, D)).astype("float32"),
    "value": RNG.normal(size=(B, TV, DV)).astype("float32"),
    "key": RNG.normal(size=(B, TV, D)).astype("float32"),
}
PAIRWISE = RNG.random((B, TQ, TV)) < 0.7
PAIRWISE[0, 4] = False  # a query with nothing to see
MASKS = {
    "query_mask": np.arange(TQ) < np.array([[TQ], [6]]),
    "value_mask": np.arange(TV) < np.array([[5], [TV]]),
    "attention_mask": PAIRWISE,
}
LIMITS = {
    "all": ({}, {}, None),
    "masked": (MASKS, {}, None),
    "causal": ({}, {"use_causal_mask": True}, None),
    "window": ({}, {}, (2, 1)),
    "everything": (MASKS, {"use_causal_mask": True}, 4),
}


def make(score, normalizer, **config):
    if normalizer == "top_k":
        normalizer = layers.TopK(3)
    layer = layers.Attention(score=score, normalizer=normalizer, **config)
    layer(**INPUTS)
    shake(layer)
    return layer


def seen(masks, options, window):
    mask = formulas.visible(masks, B, TQ, TV)
    mask &= masks.get("attention_mask", True)
    i, j = np.arange(TQ)[:, None], np.arange(TV)
    if options.get("use_causal_mask"):
        mask &= j <= i
    if window is not None:
        left, right = (window, window) if isinstance(window, int) else window
        mask &= (j >= i - left) & (j <= i + right)
    return mask


def normalize(name, scores, mask, weights):
    if name == "entmax":
        alpha = 1 + 1 / (1 + np.exp(-weights["alpha_logit"]))
        return formulas.per_row(lambda r: formulas.entmax_row(r, alpha), scores, mask)
    if name == "top_k":

        def largest(row):
            kept = row >= np.sort(row)[-min(3, len(row))]
            return formulas.softmax(row[None], kept[None])[0]

        return formulas.per_row(largest, scores, mask)
    return formulas.NORMALIZERS[name](scores, mask)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("score", SCORES)
def test_every_pair_under_every_mask(score, normalizer):
    query, value, key = (INPUTS[n].astype("float64") for n in INPUTS)
    for name, (masks, options, window) in LIMITS.items():
        layer = make(score, normalizer, window=window)
        weights = formulas.bare(named_weights(layer))
        mask = seen(masks, options, window)
        scores = formulas.score(score, weights, query, key)
        expected = normalize(normalizer, scores, mask, weights)
        output, got = to_numpy(
            layer(**INPUTS, **masks, **options, return_attention_scores=True)
        )
        np.testing.assert_allclose(got, expected, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(got[~mask], 0, err_msg=name)
        np.testing.assert_allclose(output, expected @ value, atol=1e-5, err_msg=name)
        empty = ~mask.any(-1)
        np.testing.assert_array_equal(output[empty], 0, err_msg=name)


PAIRS = [(score, "softmax") for score in SCORES]
PAIRS += [("scaled_dot", normalizer) for normalizer in NORMALIZERS]


@pytest.mark.parametrize(("score", "normalizer"), PAIRS)
def test_blocks_change_no_value_and_no_gradient(score, normalizer):
    masks, options, window = LIMITS["everything"]
    whole = make(score, normalizer, window=window)
    wrt = ("query", "value", "key")
    loss, grads, input_grads = loss_and_gradients(
        whole, INPUTS, wrt, **masks, **options
    )
    for block_size in (3, 11, "auto"):
        blocks = make(score, normalizer, window=window, block_size=block_size)
        blocks.set_weights(whole.get_weights())
        got = loss_and_gradients(blocks, INPUTS, wrt, **masks, **options)
        np.testing.assert_allclose(got[0], loss, rtol=1e-5)
        for a, b in zip([*got[1], *got[2]], [*grads, *input_grads], strict=True):
            if b is not None:
                np.testing.assert_allclose(a, b, atol=1e-5)


def test_auto_cuts_long_sequences_and_leaves_short_ones_whole():
    from attention_zoo.layers.core.blockwise import choose_block_size

    def rows(length, width=1):
        x = keras.KerasTensor((2, length, 64))
        return choose_block_size("auto", x, x, width)

    assert rows(128) is None
    assert rows(4096) < 4096
    assert rows(2048, width=64) < rows(2048)
    assert choose_block_size(None, *[keras.KerasTensor((2, 9999, 3))] * 2, 1) is None


def test_blocks_take_unknown_lengths():
    inputs = keras.Input((None, D))
    layer = layers.Attention(score="additive", block_size=4, units=13)
    model = keras.Model(inputs, layer(inputs, inputs))
    whole = layers.Attention(score="additive", units=13)
    whole(INPUTS["query"], INPUTS["query"])
    whole.set_weights(layer.get_weights())
    for length in (1, 4, 9, 10):
        x = INPUTS["query"][:, :length]
        np.testing.assert_allclose(to_numpy(model(x)), to_numpy(whole(x, x)), atol=1e-5)


@pytest.mark.parametrize("block_size", [None, 3])
def test_dropout_keeps_the_mean_and_differs_from_call_to_call(block_size):
    ones = np.ones((1, 13, 2), "float32")
    layer = layers.Attention(dropout=0.5, seed=1, block_size=block_size)
    runs = np.stack([to_numpy(layer(ones, ones, training=True)) for _ in range(200)])
    assert abs(runs.mean() - 1) < 0.05
    assert runs.std() > 0.1
    assert not np.allclose(runs[0], runs[1])
    # Rows of different blocks must not share their noise.
    assert not np.allclose(runs[0][0, :3], runs[0][0, 3:6])
    np.testing.assert_allclose(to_numpy(layer(ones, ones)), ones, atol=1e-6)


def test_recomputed_dropout_is_the_dropout_of_the_forward_pass():
    """With value gradients equal to the weights' column sums, a forward pass and its
    backward pass that drew different noise would disagree."""
    value = np.eye(5, dtype="float32")[None]
    query = RNG.normal(size=(1, 5, 3)).astype("float32")
    layer = layers.Attention(dropout=0.4, seed=7, block_size=2)
    layer(query, value, query)
    layer.seed_generator.state.assign(np.array([7, 3]))
    output = to_numpy(layer(query, value, query, training=True))  # = weights
    layer.seed_generator.state.assign(np.array([7, 3]))
    inputs = {"query": query, "value": value, "key": query}
    _, _, (gradient,) = loss_and_gradients(layer, inputs, ("value",), training=True)
    outer = np.cos(np.arange(25, dtype="float32")).reshape(5, 5) + output[0]
    np.testing.assert_allclose(gradient[0], output[0].T @ outer, atol=1e-5)
