import numpy as np
import pytest
from support.check_layer import named_weights, shake, to_numpy

from attention_zoo import layers

rng = np.random.default_rng(0)
QUERY = rng.normal(size=(2, 3, 5)).astype("float32")
KEY = rng.normal(size=(2, 7, 5)).astype("float32")


def built(score):
    score.build(QUERY.shape, KEY.shape)
    shake(score)
    return score, named_weights(score)


def test_normalized_dot():
    score, weights = built(layers.NormalizedDotScore(epsilon=0.1, name="score"))

    def norm(x, scale):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.1) * weights[scale]

    q, k = norm(QUERY, "query_scale"), norm(KEY, "key_scale")
    expected = np.einsum("bid,bjd->bij", q, k) / np.sqrt(5)
    np.testing.assert_allclose(to_numpy(score(QUERY, KEY)), expected, atol=1e-5)


def test_lengths_of_vectors_do_not_matter():
    layer = layers.Attention(score=layers.NormalizedDotScore(epsilon=1e-12))
    plain = to_numpy(layer(QUERY, KEY, KEY, return_attention_scores=True)[1])
    long = to_numpy(layer(50 * QUERY, KEY, 9 * KEY, return_attention_scores=True)[1])
    np.testing.assert_allclose(long, plain, atol=1e-5)


@pytest.mark.parametrize("inner", ["scaled_dot", "additive"])
def test_soft_cap(inner):
    score, _ = built(layers.SoftCapScore(inner, cap=0.7, name="score"))
    found = to_numpy(score(QUERY, KEY))
    raw = to_numpy(score._inner(QUERY, KEY)).astype("float64")
    np.testing.assert_allclose(found, 0.7 * np.tanh(raw / 0.7), atol=1e-5)
    assert np.abs(found).max() < 0.7


@pytest.mark.parametrize(
    "score", [layers.SoftCapScore(cap=0.5), layers.NormalizedDotScore()], ids=str
)
def test_blocks_equal_the_whole(score):
    whole = layers.Attention(score=score)
    blocks = layers.Attention(score=score, block_size=2)
    expected = to_numpy(whole(QUERY, KEY, use_causal_mask=True))
    got = to_numpy(blocks(QUERY, KEY, use_causal_mask=True))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_capped_score_is_saved():
    layer = layers.Attention(score=layers.SoftCapScore(layers.CosineScore(), cap=2.0))
    again = layers.Attention.from_config(layer.get_config())
    again(QUERY, KEY)
    assert type(again._score._inner) is layers.CosineScore
    assert again._score.cap == 2.0


def test_errors():
    with pytest.raises(ValueError, match="`cap` of `SoftCapScore`. Expected a number"):
        layers.SoftCapScore(cap=0)
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        layers.SoftCapScore("cosin")
    with pytest.raises(ValueError, match="above 0. Received: epsilon=0"):
        layers.NormalizedDotScore(epsilon=0)
