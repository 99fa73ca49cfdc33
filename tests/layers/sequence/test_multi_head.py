import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import (
    Case,
    built_layer,
    loss_and_gradients,
    named_weights,
    shake,
    to_numpy,
)

from attention_zoo import layers

CROSS = {"query": (2, 11, 5), "value": (2, 7, 17), "key": (2, 7, 13)}
SAME = {"query": (2, 11, 5), "value": (2, 11, 17), "key": (2, 11, 13)}
MASKS = ("query_mask", "value_mask", "key_mask")


def rotated(x, base=10000.0):
    """Su et al. 2021, section 3.2, with pairs as complex numbers."""
    pairs = x[..., 0::2] + 1j * x[..., 1::2]
    time, i = np.arange(x.shape[-2])[:, None], np.arange(pairs.shape[-1])
    pairs = pairs * np.exp(1j * time * base ** (-2 * i / x.shape[-1]))
    out = np.empty_like(x)
    out[..., 0::2], out[..., 1::2] = pairs.real, pairs.imag
    return out


def bucket(relative, bidirectional, num_buckets, max_distance):
    """`_relative_position_bucket` of the T5 authors, for one `j - i`."""
    result, n = 0, -relative
    if bidirectional:
        num_buckets //= 2
        result += num_buckets if n < 0 else 0
        n = abs(n)
    else:
        n = max(n, 0)
    exact = num_buckets // 2
    if n < exact:
        return result + n
    large = np.log(np.float32(n) / exact) / np.log(max_distance / exact)
    return result + min(exact + int(large * (num_buckets - exact)), num_buckets - 1)


def position_bias(weights, config, heads, rows, length):
    """What is added to the scores, `(H, Tq, Tv)`."""
    i, j = np.arange(rows)[:, None], np.arange(length)[None, :]
    position = config.get("position")
    if position == "alibi":
        # Press et al. 2021; 3 heads take the 2 of two heads, and the first of 4.
        slopes = {3: [1 / 16, 1 / 256, 1 / 4]}[heads]
        return -np.array(slopes)[:, None, None] * abs(i - j)
    if position == "relative_bias":
        table = weights["relative_bias/embeddings"]
        bias = np.zeros((heads, rows, length))
        for a, b in np.ndindex(rows, length):
            bias[:, a, b] = table[bucket(b - a, True, 32, 128)]
        return bias
    return np.zeros((heads, rows, length))


def formula(**config):
    """Vaswani et al. 2017, section 3.2.2, one head at a time."""

    def compute(weights, inputs, masks):
        heads, group = config["num_heads"], 1
        if "num_kv_heads" in config:
            group = heads // config["num_kv_heads"]
        rows, length = inputs["query"].shape[1], inputs["value"].shape[1]
        mask = formulas.visible(masks, 2, rows, length)
        i, j = np.arange(rows)[:, None], np.arange(length)[None, :]
        if "window" in config:
            mask = mask & (abs(i - j) <= config["window"])
        if config.get("causal"):
            mask = mask & (j <= i)

        def project(name, head):
            kernel = weights[f"{name}/kernel"][:, head]
            bias = weights[f"{name}/bias"][head] if f"{name}/bias" in weights else 0
            return inputs[name] @ kernel + bias

        scores = []
        for h in range(heads):
            q, k = project("query", h), project("key", h // group)
            if config.get("position") == "rotary":
                q, k = rotated(q), rotated(k)
            score, own = config.get("score", "scaled_dot"), weights
            if isinstance(score, list):
                own = {n: w for n, w in weights.items() if f"head_{h}/" in n}
                score = score[h]
            scores.append(formulas.score(score, formulas.bare(own), q, k))
        scores = np.stack(scores, 1)
        if "talking_scores/kernel" in weights:
            kernel = weights["talking_scores/kernel"]
            scores = np.einsum("bhij,hg->bgij", scores, kernel)
        scores = scores + position_bias(weights, config, heads, rows, length)
        names = config.get("normalizer", "softmax")
        names = names if isinstance(names, list) else [names] * heads
        w = [formulas.NORMALIZERS[n](scores[:, h], mask) for h, n in enumerate(names)]
        w = np.stack(w, 1)
        if "talking_weights/kernel" in weights:
            w = np.einsum("bhij,hg->bgij", w, weights["talking_weights/kernel"])
        output = weights.get("attention_output/bias", 0)
        for h in range(heads):
            summed = w[:, h] @ project("value", h // group)
            output = output + summed @ weights["attention_output/kernel"][h]
        return output * mask.any(-1)[..., None], w

    return compute


def case(name, shapes=CROSS, call=None, dynamic=(1,), **config):
    config = {"num_heads": 3, "key_dim": 4, **config}
    rows, length = shapes["query"][1], shapes["value"][1]
    return Case(
        name=f"multi_head-{name}",
        cls=layers.MultiHeadAttention,
        config=config,
        inputs=shapes,
        formula=formula(**config, causal=bool(call)),
        masks=MASKS,
        scores=(2, config["num_heads"], rows, length),
        dynamic=dynamic,
        call=call or {},
    )


CASES = [
    case("default"),
    case("causal", SAME, {"use_causal_mask": True}, value_dim=19, use_bias=False),
    case("grouped", num_heads=6, num_kv_heads=2, position="rotary"),
    case("alibi", window=3, block_size=4, position="alibi"),
    case("relative", SAME, position="relative_bias", block_size=4),
    case(
        "heads",
        score=["additive", "cosine", "general"],
        normalizer=["sparsemax", "softmax", "sigmoid"],
        talking_heads=True,
        block_size=4,
    ),
    case("location", CROSS, None, (), score=["location", "dot", "concat"]),
]

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype("float32")


def with_weights_of(other, **config):
    """Returns our layer with the weights of Keras's `other`, moved off their start."""
    shake(other)
    layer = layers.MultiHeadAttention(**config)
    layer.build((2, 11, 5), (2, 7, 17), (2, 7, 13))
    assert [w.shape for w in layer.weights] == [w.shape for w in other.weights]
    layer.set_weights(other.get_weights())
    return layer


@pytest.fixture(scope="module")
def inputs():
    return draw(2, 11, 5), draw(2, 7, 17), draw(2, 7, 13)


HEAD_MASK = RNG.random((2, 3, 11, 7)) < 0.6
HEAD_MASK[..., 0] = True
SETTINGS = {
    "plain": {},
    "causal": {"use_causal_mask": True},
    "padding": {"value_mask": np.arange(7) < np.array([[5], [7]])},
    "attention_mask": {"attention_mask": HEAD_MASK[:, 0]},
    "mask_of_each_head": {"attention_mask": HEAD_MASK},
    "all": {
        "value_mask": np.arange(7) < np.array([[5], [7]]),
        "attention_mask": HEAD_MASK[:, 0],
        "use_causal_mask": True,
    },
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_takes_the_weights_of_keras_multi_head_attention(setting, inputs):
    config = {"num_heads": 3, "key_dim": 4, "value_dim": 23, "output_shape": 29}
    other = keras.layers.MultiHeadAttention(**config)
    other.build((2, 11, 5), (2, 7, 17), (2, 7, 13))
    layer = with_weights_of(other, **config)
    options = {**SETTINGS[setting], "return_attention_scores": True}
    expected, got = other(*inputs, **options), layer(*inputs, **options)
    assert got[0].shape == (2, 11, 29)
    assert got[1].shape == (2, 3, 11, 7)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-5)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if "each" not in s])
def test_takes_the_weights_of_keras_grouped_query_attention(setting, inputs):
    other = keras.layers.GroupQueryAttention(4, 6, 2)
    other.build((2, 11, 5), (2, 7, 17), (2, 7, 13))
    layer = with_weights_of(other, num_heads=6, key_dim=4, num_kv_heads=2)
    expected = other(*inputs, **SETTINGS[setting])
    got = layer(*inputs, **SETTINGS[setting])
    np.testing.assert_allclose(to_numpy(got), to_numpy(expected), atol=1e-5)


def test_unpadded_positions_equal_keras_and_padded_queries_are_zero():
    ids = np.array([[1, 2, 3, 0, 0], [4, 3, 2, 1, 2]])
    embed = keras.layers.Embedding(5, 7, mask_zero=True)
    layer, other = (
        layers.MultiHeadAttention(3, 4),
        keras.layers.MultiHeadAttention(3, 4),
    )
    for each in (layer, other):
        each.build((2, 5, 7), (2, 5, 7))
    shake(other)
    layer.set_weights(other.get_weights())
    x = embed(ids)
    got = to_numpy(layer(x, x))
    x = embed(ids)  # Keras's layer takes the mask off its input
    expected = to_numpy(other(x, x))
    np.testing.assert_allclose(got[ids > 0], expected[ids > 0], atol=1e-5)
    np.testing.assert_array_equal(got[ids == 0], 0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, (1, 0), (2, 3)])
def test_a_query_that_sees_nothing_gives_zero(causal, window):
    layer = layers.MultiHeadAttention(3, 4, window=window)
    query, value = draw(2, 11, 5), draw(2, 7, 5)
    key_mask = np.array([[0, 0, 1, 1, 0, 0, 0], [0] * 7], bool)
    layer(query, value)
    shake(layer)
    output, weights = to_numpy(
        layer(
            query,
            value,
            value_mask=key_mask,
            use_causal_mask=causal,
            return_attention_scores=True,
        )
    )
    i, j = np.arange(11)[:, None], np.arange(7)
    seen = np.repeat(key_mask[:, None], 11, axis=1)
    left, right = window or (11, 11)
    seen &= (i - left <= j) & (j <= (i if causal else i + right)) & (j <= i + right)
    np.testing.assert_array_equal(weights[:, 0] > 0, seen)
    assert seen[0].any()
    np.testing.assert_array_equal(output[~seen.any(-1)], 0)
    assert (output[seen.any(-1)] != 0).all()


PARTS = {
    "plain": {},
    "grouped": {"num_kv_heads": 1, "window": (4, 2), "value_dim": 13},
    "rotary": {"position": "rotary", "num_kv_heads": 1},
    "alibi": {"position": "alibi", "normalizer": "entmax"},
    "relative": {"position": "relative_bias", "talking_heads": True},
    "heads": {
        "score": ["additive", "location", "general"],
        "normalizer": ["entmax", "softmax", "hardmax"],
    },
}


@pytest.mark.parametrize("part", PARTS)
def test_blocks_change_neither_values_nor_gradients(part):
    fed = {"query": draw(2, 11, 5), "value": draw(2, 7, 13)}
    masks = {
        "value_mask": np.arange(7) < np.array([[5], [7]]),
        "query_mask": np.arange(11) < np.array([[11], [6]]),
        "attention_mask": HEAD_MASK,
    }
    results = []
    for block_size in (None, 4):
        layer = layers.MultiHeadAttention(3, 4, block_size=block_size, **PARTS[part])
        layer(**fed)
        for i, w in enumerate(layer.trainable_weights):
            w.assign(np.random.default_rng(i).normal(size=w.shape) / 2)
        output = to_numpy(layer(**fed, **masks, use_causal_mask=True))
        results.append((output, loss_and_gradients(layer, fed, tuple(fed), **masks)))
    (whole, (loss, *grads)), (blocks, (block_loss, *block_grads)) = results
    np.testing.assert_allclose(blocks, whole, atol=1e-5)
    np.testing.assert_allclose(block_loss, loss, rtol=1e-5)
    # Of a key's bias the gradient is 0, out of sums as large as the others.
    largest = max(abs(g).max() for g in sum(grads, []))
    for a, b in zip(sum(block_grads, []), sum(grads, []), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * (1 + largest))


@pytest.mark.parametrize("block_size", [None, 4])
def test_gumbel_noise_differs_between_heads_and_blocks(block_size):
    layer = layers.MultiHeadAttention(
        2,
        3,
        normalizer=[layers.GumbelSoftmax(seed=5), "gumbel_softmax"],
        output_shape=6,
        block_size=block_size,
    )
    query, value = draw(2, 11, 5), draw(2, 7, 13)
    layer(query, value)
    # Scores of 0 and equal values: only the noise tells heads and queries apart.
    for w in layer.weights[:4]:
        w.assign(np.zeros(w.shape))
    layer.weights[4].assign(np.tile(draw(13, 1, 3), (1, 2, 1)))
    layer.weights[6].assign(np.eye(6).reshape(2, 3, 6))  # heads side by side
    heads = to_numpy(layer(query, value)).reshape(2, 11, 2, 3)
    same = np.broadcast_to(heads[:, :1, :1], heads.shape)
    np.testing.assert_allclose(heads, same, atol=1e-5)
    heads = to_numpy(layer(query, value, training=True)).reshape(2, 22, 3)
    distance = abs(heads[:, :, None] - heads[:, None]).max(-1)
    assert (distance + np.eye(22) > 1e-4).all()


def test_slopes_and_buckets_of_the_papers():
    from attention_zoo.layers.core.positions import alibi_slopes, relative_buckets

    np.testing.assert_allclose(alibi_slopes(8), [2.0**-n for n in range(1, 9)])
    twelve = [2.0**-n for n in range(1, 9)] + [2.0 ** -(n + 0.5) for n in range(4)]
    np.testing.assert_allclose(alibi_slopes(12), twelve)
    for buckets, far, both in ((32, 128, True), (32, 128, False), (8, 20, True)):
        expected = [bucket(d, both, buckets, far) for d in range(-far, far + 1)]
        np.testing.assert_array_equal(relative_buckets(buckets, far, both), expected)
    # Far keys share the last bucket: 15 before the query, 31 after it.
    assert relative_buckets(32, 128, True)[[0, 127, 128, 129, -1]].tolist() == [
        15,
        1,
        0,
        17,
        31,
    ]


def test_rotary_scores_depend_on_the_distance_alone():
    layer = layers.MultiHeadAttention(3, 4, position="rotary")
    x = np.tile(draw(2, 1, 5), (1, 11, 1))
    _, weights = to_numpy(
        layer(x, x, use_causal_mask=True, return_attention_scores=True)
    )
    ratio = weights / np.diagonal(weights, axis1=-2, axis2=-1)[..., None]
    for distance in range(1, 10):
        diagonal = np.diagonal(ratio, -distance, axis1=-2, axis2=-1)
        np.testing.assert_allclose(
            diagonal, diagonal[..., :1] + 0 * diagonal, rtol=1e-4
        )
    assert abs(ratio[..., 10, 0] - 1).max() > 1e-3


def test_causal_relative_bias_has_one_bucket_for_keys_to_come():
    position = layers.RelativeBias(8, 20, bidirectional=False)
    position.build((2, 3, 11, 4))
    position.embeddings.assign(draw(8, 3))
    table = named_weights(position)["embeddings"]
    got = to_numpy(position.bias(2, 5, 11, position.embeddings))
    assert got.shape == (3, 5, 11)
    for i, j in np.ndindex(5, 11):
        expected = table[bucket(j - i - 2, False, 8, 20)]
        np.testing.assert_allclose(got[:, i, j], expected, atol=1e-6)
    np.testing.assert_allclose(got[:, 0, 2:], np.tile(got[:, :1, 2], (1, 9)))


def test_talking_heads_start_as_plain_heads(inputs):
    plain = layers.MultiHeadAttention(3, 4)
    plain(*inputs)
    talking = layers.MultiHeadAttention(3, 4, talking_heads=True)
    talking(*inputs)
    for w, v in zip(talking.weights[-8:], plain.weights, strict=True):
        w.assign(v)
    np.testing.assert_allclose(
        to_numpy(talking(*inputs)), to_numpy(plain(*inputs)), atol=1e-6
    )


STEPS = {
    "plain": {},
    "rotary-grouped": {"position": "rotary", "num_kv_heads": 1, "window": 3},
    "alibi": {"position": "alibi", "normalizer": "sparsemax"},
    "relative": {"position": "relative_bias", "talking_heads": True},
    "heads": {"score": ["additive", "location", "dot"], "value_dim": 13},
}


@pytest.mark.parametrize("steps", STEPS)
def test_steps_give_what_the_whole_gives(steps):
    layer = layers.MultiHeadAttention(3, 4, **STEPS[steps])
    x, mask = draw(2, 11, 5), np.ones((2, 11), bool)
    mask[0, :2] = False
    layer(x, x)
    shake(layer)
    for options in ({}, {"value_mask": mask}):
        expected = to_numpy(layer(x, x, **options, use_causal_mask=True))
        key_mask = options.get("value_mask")
        prompt, cache = layer.step(x[:, :5], layer.initial_cache(2, 11), 0, key_mask)
        outputs = [to_numpy(prompt)]
        for t in range(5, 11):
            index = keras.ops.convert_to_tensor(t, dtype="int32")
            output, cache = layer.step(x[:, t : t + 1], cache, index, key_mask)
            outputs.append(to_numpy(output))
        np.testing.assert_allclose(np.concatenate(outputs, 1), expected, atol=1e-5)


def test_a_cache_of_a_memory_gives_cross_attention(inputs):
    layer = layers.MultiHeadAttention(3, 4, position="rotary")
    query, value, key = inputs
    mask = np.arange(7) < np.array([[5], [7]])
    expected = to_numpy(layer(query, value, key, value_mask=mask))
    cache = layer.cache_of(value, key)
    for t in range(11):
        got = layer.attend_cache(query[:, t : t + 1], cache, mask, index=t)
        np.testing.assert_allclose(to_numpy(got)[:, 0], expected[:, t], atol=1e-5)


def test_objects_and_configs_are_saved(tmp_path):
    layer = layers.MultiHeadAttention(
        3,
        4,
        output_shape=13,
        score=[layers.AdditiveScore(17), "dot", layers.GeneralScore()],
        normalizer=layers.Entmax(num_heads=3),
        position=layers.RelativeBias(8, 20),
        kernel_initializer=keras.initializers.RandomNormal(seed=3),
        name="layer",
    )
    inputs = keras.Input((11, 5))
    model = keras.Model(inputs, layer(inputs, inputs))
    shake(layer)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = draw(2, 11, 5)
    np.testing.assert_allclose(to_numpy(loaded(x)), to_numpy(model(x)), atol=1e-6)
    clone = loaded.get_layer("layer")
    assert clone.get_config()["score"][1] == "dot"
    assert clone.score[0].units == 17
    assert clone.position.max_distance == 20
    assert isinstance(clone.normalizer, layers.Entmax)
    assert named_weights(clone).keys() >= {"attention_output/kernel"}


def test_summary_shows_the_output_shape(capsys):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.attention = layers.MultiHeadAttention(3, 4, output_shape=13)

        def call(self, x):
            return self.attention(x, x)

    model = Model()
    model(draw(2, 11, 5))
    model.summary()
    assert "(2, 11, 13)" in capsys.readouterr().out


BAD = {
    "num_heads": ({"num_heads": 0}, "positive integer"),
    "key_dim": ({"key_dim": -4}, "positive integer"),
    "value_dim": ({"value_dim": 2.5}, "positive integer"),
    "output_shape": ({"output_shape": 0}, "positive integer"),
    "groups": ({"num_kv_heads": 2}, "divisible by `num_kv_heads`"),
    "score": ({"score": "scaled-dot"}, "did you mean 'scaled_dot'"),
    "scores": ({"score": ["dot", "dot"]}, "list of one for each"),
    "normalizers": ({"normalizer": ["softmax"] * 4}, "list of one for each"),
    "normalizer": ({"normalizer": ["softmax"] * 2 + ["softmx"]}, "did you mean"),
    "position": ({"position": "rotery"}, "did you mean 'rotary'"),
    "window": ({"window": 0}, "positive integer"),
    "block_size": ({"block_size": 0}, "positive integer"),
    "dropout": ({"dropout": 1.0}, "number in"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    config, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        layers.MultiHeadAttention(**{"num_heads": 3, "key_dim": 4, **config})


def test_bad_positions_and_inputs():
    odd = layers.MultiHeadAttention(3, 5, position="rotary")
    with pytest.raises(ValueError, match="even `key_dim`. Received: key_dim=5"):
        odd.build((2, 11, 5), (2, 7, 5))
    with pytest.raises(ValueError, match="`base`"):
        layers.RotaryPosition(base=0)
    with pytest.raises(ValueError, match="num_buckets=6"):
        layers.RelativeBias(num_buckets=6)
    with pytest.raises(ValueError, match="max_distance=8"):
        layers.RelativeBias(32, max_distance=8)
    layer = layers.MultiHeadAttention(3, 4)
    with pytest.raises(ValueError, match="one batch size"):
        layer(draw(2, 11, 5), draw(3, 7, 5))
    with pytest.raises(ValueError, match="attention_mask` of shape"):
        layer(
            draw(2, 11, 5), draw(2, 7, 5), attention_mask=np.ones((2, 5, 11, 7), bool)
        )
    with pytest.raises(ValueError, match="boolean or integer"):
        layer(draw(2, 11, 5), draw(2, 7, 5), attention_mask=np.ones((2, 11, 7)))


def test_nan_in_sight_is_not_hidden():
    layer = built_layer(CASES[0])
    fed = CASES[0].draw()
    fed["value"][0, 3, 0] = np.nan
    assert np.isnan(to_numpy(layer(**fed))[0]).all()
