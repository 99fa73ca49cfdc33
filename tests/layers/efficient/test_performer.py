import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, to_numpy

from attention_zoo import layers
from attention_zoo.layers.efficient.performer import orthogonal_gaussian

SHAPES = {"query": (2, 11, 5), "value": (2, 7, 3), "key": (2, 7, 5)}
MASKS = ("query_mask", "value_mask", "key_mask")


def formula(causal):
    """Choromanski et al. 2020, lemma 1 and equation 4, with the features as given."""

    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        vectors = weights["projection"].T
        seen = formulas.visible(masks, len(q), q.shape[1], k.shape[1])
        if causal:
            seen &= np.tri(q.shape[1], k.shape[1], dtype=bool)
        w = np.zeros(seen.shape)
        for b, i, j in zip(*np.nonzero(seen), strict=True):
            x, y = q[b, i] / 5**0.25, k[b, j] / 5**0.25
            estimates = np.exp(vectors @ (x + y) - (x @ x + y @ y) / 2)
            w[b, i, j] = estimates.mean()
        total = w.sum(-1, keepdims=True)
        w = w / np.where(total == 0, 1, total)
        return w @ v, w

    return compute


def case(name, causal=False, **config):
    return Case(
        name=name,
        cls=layers.PerformerAttention,
        config={"num_features": 13, "seed": 3, **config},
        inputs=SHAPES,
        formula=formula(causal),
        masks=MASKS,
        scores=(2, 11, 7),
        call={"use_causal_mask": True} if causal else {},
    )


CASES = [case("performer"), case("performer-causal", causal=True, chunk_size=3)]


def softmax_attention(q, k, v):
    return to_numpy(layers.Attention("scaled_dot")(q, v, k))


def draw(width=8, length=32):
    rng = np.random.default_rng(0)
    sizes = (width, width, 3)
    return [
        rng.normal(scale=0.35, size=(2, length, d)).astype("float32") for d in sizes
    ]


def error(num_features, tries=12):
    """Returns the root mean square distance from softmax attention."""
    q, k, v = draw()
    expected = softmax_attention(q, k, v)
    squares = []
    for seed in range(tries):
        layer = layers.PerformerAttention(num_features, seed=seed)
        squares.append(np.mean((to_numpy(layer(q, v, k)) - expected) ** 2))
    return np.sqrt(np.mean(squares))


def test_the_error_falls_as_one_over_the_root_of_the_features():
    counts = [64, 256, 1024, 4096]
    errors = [error(count) for count in counts]
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert -0.55 < slope < -0.4, errors
    q, k, v = draw()
    uniform = v.mean(axis=1, keepdims=True)
    assert errors[-1] < 0.2 * np.std(softmax_attention(q, k, v) - uniform), errors


def test_the_vectors_are_orthogonal_and_gaussian():
    vectors = orthogonal_gaussian(7, 7 * 1000, seed=0)
    assert vectors.shape == (7, 7000)
    for start in (0, 7, 7 * 999):
        block = vectors[:, start : start + 7]
        lengths = np.linalg.norm(block, axis=0)
        gram = block.T @ block
        np.testing.assert_allclose(gram, np.diag(lengths**2), atol=1e-9)
    assert orthogonal_gaussian(7, 11, seed=0).shape == (7, 11)
    # Mean 0, variance 1 and kurtosis 3 of each coordinate; the same for the directions.
    np.testing.assert_allclose(vectors.mean(axis=1), 0, atol=0.05)
    np.testing.assert_allclose((vectors @ vectors.T) / 7000, np.eye(7), atol=0.06)
    np.testing.assert_allclose((vectors**4).mean(), 3, atol=0.15)


def test_large_inputs_neither_overflow_nor_underflow():
    q, k, v = (100 * x for x in draw(length=5))
    for causal in (False, True):
        layer = layers.PerformerAttention(64, seed=0)
        assert np.isfinite(to_numpy(layer(q, v, k, use_causal_mask=causal))).all()


def test_seeds():
    q, k, v = draw()
    one = to_numpy(layers.PerformerAttention(32, seed=1)(q, v, k))
    np.testing.assert_array_equal(
        to_numpy(layers.PerformerAttention(32, seed=1)(q, v, k)), one
    )
    outputs = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        outputs.append(to_numpy(layers.PerformerAttention(32)(q, v, k)))
    np.testing.assert_array_equal(*outputs)
    layer = layers.PerformerAttention(32, seed=1)
    layer(q, v, k)
    layer.redraw(seed=2)
    two = to_numpy(layers.PerformerAttention(32, seed=2)(q, v, k))
    np.testing.assert_array_equal(to_numpy(layer(q, v, k)), two)
    assert np.abs(two - one).max() > 1e-3


def test_errors():
    with pytest.raises(ValueError, match="num_features=0"):
        layers.PerformerAttention(0)
    x = np.zeros((2, 7, 5), "float32")
    with pytest.raises(ValueError, match="one width"):
        layers.PerformerAttention()(x, x[..., :3])
