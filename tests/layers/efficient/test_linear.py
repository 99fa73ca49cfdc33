import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, to_numpy

from attention_zoo import layers

SHAPES = {"query": (2, 11, 5), "value": (2, 7, 3), "key": (2, 7, 5)}
MASKS = ("query_mask", "value_mask", "key_mask")


def feature(x):
    return np.where(x > 0, x + 1, np.exp(x))


def formula(causal):
    """Katharopoulos et al. 2020, equation 4, and 8 with a causal mask: pair by pair."""

    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        seen = formulas.visible(masks, len(q), q.shape[1], k.shape[1])
        w = np.zeros(seen.shape)
        for b, i, j in zip(*np.nonzero(seen), strict=True):
            if not causal or j <= i:
                w[b, i, j] = feature(q[b, i]) @ feature(k[b, j])
        total = w.sum(-1, keepdims=True)
        w = w / np.where(total == 0, 1, total)
        return w @ v, w

    return compute


def case(name, causal=False, shapes=SHAPES, **config):
    query, value = shapes["query"], shapes["value"]
    return Case(
        name=name,
        cls=layers.LinearAttention,
        config=config,
        inputs=shapes,
        formula=formula(causal),
        masks=MASKS,
        scores=(2, query[1], value[1]),
        call={"use_causal_mask": True} if causal else {},
    )


LONG = {"query": (2, 3, 5), "value": (2, 13, 7), "key": (2, 13, 5)}
CASES = [
    case("linear"),
    case("linear-causal", causal=True, chunk_size=4),
    case("linear-causal-longer-value", causal=True, shapes=LONG, chunk_size=2),
    case("linear-causal-one-chunk", causal=True),
]


@pytest.mark.parametrize("chunk_size", [1, 5, 64])
def test_the_causal_form_is_the_recurrence(chunk_size):
    """Equations 18 to 20: the state of an RNN, one position at a time."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 131, d)).astype("float32") for d in (5, 5, 3))
    s, z = np.zeros((2, 5, 3)), np.zeros((2, 5))
    expected = np.zeros((2, 131, 3))
    for i in range(131):
        s += np.einsum("bd,be->bde", feature(k[:, i]), v[:, i])
        z += feature(k[:, i])
        sums = np.einsum("bd,bde->be", feature(q[:, i]), s)
        expected[:, i] = sums / np.einsum("bd,bd->b", feature(q[:, i]), z)[:, None]
    layer = layers.LinearAttention(chunk_size=chunk_size)
    got = to_numpy(layer(q, v, k, use_causal_mask=True))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_one_causal_call_is_many_shorter_ones():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 17, 5)).astype("float32")
    layer = layers.LinearAttention(chunk_size=3)
    whole = to_numpy(layer(x, x, use_causal_mask=True))
    for length in (1, 3, 7, 16):
        part = to_numpy(layer(x[:, :length], x[:, :length], use_causal_mask=True))
        np.testing.assert_allclose(part, whole[:, :length], atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("cls", [layers.LinearAttention, layers.PerformerAttention])
def test_a_long_sequence_needs_no_matrix(cls, causal):
    """Equal keys: the output is a mean. A matrix of all pairs would take 64 GiB."""
    length = 2**17
    x = np.full((1, length, 2), 0.1, "float32")
    value = np.cos(np.arange(length, dtype="float32") / 1000)[None, :, None]
    expected = np.cumsum(value[0, :, 0], dtype="float64") / np.arange(1, length + 1)
    expected = expected if causal else np.full(length, expected[-1])
    layer = cls(num_features=3) if cls is layers.PerformerAttention else cls()
    got = to_numpy(layer(x, value, x, use_causal_mask=causal))
    np.testing.assert_allclose(got[0, :, 0], expected, atol=1e-3)


def test_errors():
    x = np.zeros((2, 7, 5), "float32")
    layer = layers.LinearAttention()
    with pytest.raises(ValueError, match=r"no `attention_mask`.*\(2, 7, 7\)"):
        layer(x, x, attention_mask=np.ones((2, 7, 7), bool))
    with pytest.raises(ValueError, match=r"one width.*\(2, 7, 3\)"):
        layers.LinearAttention()(x, x[..., :3])
    with pytest.raises(ValueError, match="chunk_size=0"):
        layers.LinearAttention(chunk_size=0)
    with pytest.raises(ValueError, match="one batch size"):
        layer(x, keras.ops.zeros((3, 7, 5)))
