import functools

import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import BACKEND, Case, built_layer, shake, to_numpy

from attention_zoo import layers

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def norm(weights, name, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * weights[f"{name}_norm/gamma"] + weights[f"{name}_norm/beta"]


def heads(weights, name, normalizer, mask, x, y):
    """Multi-head attention of `x` to `y`, Vaswani et al. 2017, section 3.2.2."""
    output = weights[f"{name}/attention_output/bias"]
    for h, kernel in enumerate(weights[f"{name}/attention_output/kernel"]):
        q, k, v = (
            given @ weights[f"{name}/{part}/kernel"][:, h]
            + weights[f"{name}/{part}/bias"][h]
            for part, given in (("query", x), ("key", y), ("value", y))
        )
        scores = np.einsum("bid,bjd->bij", q, k) / np.sqrt(q.shape[-1])
        output = output + formulas.NORMALIZERS[normalizer](scores, mask) @ v @ kernel
    return output * mask.any(-1)[..., None]


def feed(weights, activation, gate, x):
    """Vaswani et al. 2017, section 3.3; gated: Shazeer 2020, equation 6."""

    def dense(name, x):
        name = f"feed_forward/{name}"
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    hidden = ACTIVATIONS[activation](dense("hidden", x))
    return dense("output", hidden * dense("gate", x) if gate else hidden)


def formula(normalize_first=False, activation="relu", use_gate=False, attention=None):
    """Vaswani et al. 2017, figure 1; normalized first: Xiong et al. 2020, figure 1b."""
    normalizer = (attention or {}).get("normalizer", "softmax")

    def compute(weights, inputs, masks):
        x, *memory = inputs.values()
        batch, rows = x.shape[:2]
        own = masks.get("mask", masks.get("query_mask", np.ones((batch, rows), bool)))
        seen = own[:, None] & own[..., None]
        if "query" in inputs:  # a decoder
            seen &= np.tril(np.ones((rows, rows), bool))
        attend = functools.partial(heads, weights, "self_attention", normalizer, seen)
        sublayers = {"self_attention": lambda x: attend(x, x)}
        if memory:
            seen = formulas.visible(masks, batch, rows, memory[0].shape[1])
            attend_memory = functools.partial(
                heads, weights, "cross_attention", normalizer, seen
            )
            sublayers["cross_attention"] = lambda x: attend_memory(x, memory[0])
        sublayers["feed_forward"] = lambda x: feed(weights, activation, use_gate, x)
        for name, function in sublayers.items():
            if normalize_first:
                x = x + function(norm(weights, name, x))
            else:
                x = norm(weights, name, x + function(x))
        return x * own[..., None]

    return compute


def case(name, cls, inputs, masks, key_dim=11, **config):
    return Case(
        name=f"transformer-{name}",
        cls=cls,
        config={"num_heads": 3, "intermediate_dim": 13, "key_dim": key_dim, **config},
        inputs=inputs,
        formula=formula(**config),
        masks=masks,
    )


GATED = {"normalize_first": True, "activation": "silu", "use_gate": True}
ONE = {"inputs": (2, 7, 5)}
TWO = {"query": (2, 7, 5), "value": (2, 3, 17)}
CASES = [
    case("encoder", layers.TransformerEncoderBlock, ONE, ("mask",)),
    case("encoder-gated", layers.TransformerEncoderBlock, ONE, ("mask",), **GATED),
    case(
        "decoder",
        layers.TransformerDecoderBlock,
        TWO,
        ("query_mask", "value_mask"),
        attention={"normalizer": "sparsemax", "block_size": 2},
    ),
    case(
        "decoder-only",
        layers.TransformerDecoderBlock,
        {"query": (2, 7, 5)},
        ("query_mask",),
        **GATED,
    ),
]

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype("float32")


def compiled(function):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


STEPS = {
    "plain": {},
    "gated-rotary": {
        **GATED,
        "attention": {"position": "rotary", "num_kv_heads": 1, "window": 3},
    },
    "relative": {
        "attention": {"position": layers.RelativeBias(8, 20, bidirectional=False)}
    },
    "additive": {"attention": {"score": layers.AdditiveScore(13), "block_size": 2}},
}


@pytest.mark.parametrize("memory", [True, False])
@pytest.mark.parametrize("steps", STEPS)
def test_steps_give_what_the_whole_gives(steps, memory):
    block = layers.TransformerDecoderBlock(13, 3, key_dim=4, **STEPS[steps])
    x, y = draw(2, 7, 5), draw(2, 3, 17)
    value = {}
    if memory:
        value = {"value": y, "value_mask": np.arange(3) < np.array([[2], [3]])}
    block(x, **value)
    shake(block)
    expected = to_numpy(block(x, **value))
    cache = block.initial_cache(2, 11, **value)  # with room to spare
    step = compiled(block.step)
    outputs = []
    for t in range(7):
        index = keras.ops.convert_to_tensor(t, dtype="int32")
        output, cache = step(keras.ops.convert_to_tensor(x[:, t : t + 1]), cache, index)
        outputs.append(to_numpy(output))
    np.testing.assert_allclose(np.concatenate(outputs, 1), expected, atol=1e-5)
    # A prompt at once, with the rows in another order from there on, as in a beam.
    cache = block.initial_cache(2, 11, **value)
    prompt, cache = block.step(x[:, :5], cache, 0)
    np.testing.assert_allclose(to_numpy(prompt), expected[:, :5], atol=1e-5)
    cache = keras.tree.map_structure(
        lambda held: keras.ops.take(held, np.array([1, 0]), axis=0), cache
    )
    output, cache = block.step(x[::-1, 5:], cache, 5)
    np.testing.assert_allclose(to_numpy(output), expected[::-1, 5:], atol=1e-5)


def test_steps_skip_the_padding_before_a_prompt():
    block = layers.TransformerDecoderBlock(13, 3, key_dim=4)
    x = draw(2, 7, 5)
    mask = np.ones((2, 7), bool)
    mask[0, :2] = False
    block(x)
    shake(block)
    expected = to_numpy(block(x, query_mask=mask))
    x[0, :2] = 1e4
    first, cache = block.step(x[:, :5], block.initial_cache(2, 7), 0, mask)
    second, _ = block.step(x[:, 5:], cache, 5, mask)
    got = np.concatenate([to_numpy(first), to_numpy(second)], 1)
    np.testing.assert_allclose(got[mask], expected[mask], atol=1e-5)


def test_each_attention_has_scores_of_its_own(tmp_path):
    given = {
        "score": ["dot", layers.AdditiveScore(17), "dot"],
        "position": "alibi",
        "kernel_initializer": keras.initializers.RandomNormal(seed=3),
    }
    block = layers.TransformerDecoderBlock(
        13, 3, key_dim=4, attention=given, name="block"
    )
    query, value = keras.Input((7, 5)), keras.Input((3, 5))
    model = keras.Model([query, value], block(query, value))
    names = [w.path for w in model.weights if w.path.endswith("scale")]
    assert sorted(n.split("/")[1] for n in names) == [
        "cross_attention",
        "self_attention",
    ]
    assert not given["score"][1].built
    shake(block)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    fed = [draw(2, 7, 5), draw(2, 3, 5)]
    np.testing.assert_allclose(to_numpy(loaded(fed)), to_numpy(model(fed)), atol=1e-6)


def test_only_the_self_attention_has_positions():
    block = layers.TransformerDecoderBlock(
        13, 3, key_dim=4, attention={"position": "alibi", "window": 1}
    )
    block(draw(2, 7, 5), draw(2, 3, 5))
    with layers.record_attention() as records:
        block(draw(2, 7, 5), draw(2, 3, 5))
    own, cross = records
    assert (own.layer_name, cross.layer_name) == ("self_attention", "cross_attention")
    i, j = np.arange(7)[:, None], np.arange(7)
    band = (j <= i) & (i - j <= 1)
    np.testing.assert_array_equal(own.weights > 0, np.broadcast_to(band, (2, 3, 7, 7)))
    assert (cross.weights > 0).all()


def test_a_step_returns_the_weights_of_the_attention_to_the_encoder():
    block = layers.TransformerDecoderBlock(13, 3, key_dim=4)
    x, y = draw(2, 7, 5), draw(2, 3, 17)
    mask = np.arange(3) < np.array([[2], [3]])
    with layers.record_attention() as records:
        block(x, y, value_mask=mask)
    cache = block.initial_cache(2, 7, y, mask)
    _, cache, weights = block.step(x, cache, 0, return_attention_scores=True)
    np.testing.assert_allclose(to_numpy(weights), records[1].weights, atol=1e-6)
    block = layers.TransformerDecoderBlock(13, 3, key_dim=4)
    block(x)
    cache = block.initial_cache(2, 7)
    assert block.step(x, cache, 0, return_attention_scores=True)[2] is None


def test_encoder_takes_attention_masks_beside_padding():
    block = layers.TransformerEncoderBlock(13, 3, key_dim=4)
    ids = np.array([[1, 2, 3, 0, 0], [4, 3, 2, 1, 2]])
    embed = keras.layers.Embedding(5, 7, mask_zero=True)
    causal = np.tril(np.ones((2, 5, 5), bool))
    masked = to_numpy(block(embed(ids), attention_mask=causal))
    np.testing.assert_array_equal(masked[ids == 0], 0)
    expected = to_numpy(block(embed(ids), use_causal_mask=True))
    np.testing.assert_allclose(masked, expected, atol=1e-6)
    changed = to_numpy(block(embed(np.where(ids == 2, 4, ids)), use_causal_mask=True))
    np.testing.assert_allclose(changed[0, 0], masked[0, 0], atol=1e-6)
    assert abs(changed[0, 2] - masked[0, 2]).max() > 1e-3


def test_dropout_acts_in_training_alone():
    x = draw(2, 7, 5)
    block = layers.TransformerEncoderBlock(13, 3, key_dim=4, dropout=0.5, seed=7)
    plain = to_numpy(block(x))
    np.testing.assert_array_equal(to_numpy(block(x, training=False)), plain)
    assert abs(to_numpy(block(x, training=True)) - plain).max() > 0.1


def test_default_key_dim_divides_the_width():
    block = layers.TransformerEncoderBlock(13, 5)
    block(draw(2, 7, 15))
    assert tuple(block._attend.get_weights()[0].shape) == (15, 5, 3)
    with pytest.raises(ValueError, match="num_heads=3, a width of 5"):
        layers.TransformerEncoderBlock(13, 3)(draw(2, 7, 5))


def test_gated_feed_forward_layer():
    layer = layers.FeedForward(
        13, activation="silu", use_gate=True, name="feed_forward"
    )
    x = draw(2, 7, 5)
    layer(x)
    shake(layer)
    weights = {w.path: to_numpy(w.value) for w in layer.weights}
    expected = feed(weights, "silu", True, x.astype("float64"))
    np.testing.assert_allclose(to_numpy(layer(x)), expected, atol=1e-5)
    clone = layers.FeedForward.from_config(layer.get_config())
    assert clone.get_config() == layer.get_config()
    assert clone.get_config()["activation"] == "silu"


BAD = {
    "num_heads": ({"num_heads": 0}, "positive integer"),
    "intermediate_dim": ({"intermediate_dim": -1}, "positive integer"),
    "key_dim": ({"key_dim": 0}, "positive integer"),
    "dropout": ({"dropout": 2}, "number in"),
    "attention": ({"attention": "additive"}, "a dict of arguments"),
    "taken": ({"attention": {"num_heads": 5}}, "a dict of arguments"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    config, message = BAD[name]
    config = {"num_heads": 3, "intermediate_dim": 13, **config}
    for cls in (layers.TransformerEncoderBlock, layers.TransformerDecoderBlock):
        with pytest.raises(ValueError, match=message):
            cls(**config)


def test_bad_inputs():
    with pytest.raises(ValueError, match="`inputs` of rank 3"):
        layers.TransformerEncoderBlock(13, 3, key_dim=4)(draw(7, 5))
    with pytest.raises(ValueError, match="`query` of rank 3"):
        layers.TransformerDecoderBlock(13, 3, key_dim=4)(draw(7, 5))
    with pytest.raises(ValueError, match="scroe"):
        layers.TransformerEncoderBlock(13, 3, key_dim=4, attention={"scroe": "dot"})(
            draw(2, 7, 5)
        )
    block = built_layer(CASES[3])
    with pytest.raises(ValueError, match="built without a `value`"):
        block(draw(2, 7, 5), draw(2, 3, 5))
    block = built_layer(CASES[2])
    with pytest.raises(ValueError, match="built with a `value`"):
        block(draw(2, 7, 5))
    with pytest.raises(ValueError, match="built with a `value`"):
        block.initial_cache(2, 7)


def test_configs_of_saved_models_name_two_arguments_otherwise():
    block = layers.TransformerEncoderBlock(13, 3, normalize_first=True, name="block")
    config = block.get_config()
    assert config["layer_norm_epsilon"] == 1e-6
    saved = {k: v for k, v in config.items() if k != "kernel_initializer"}
    saved["norm_first"] = saved.pop("normalize_first")
    saved["epsilon"] = saved.pop("layer_norm_epsilon")
    assert layers.TransformerEncoderBlock.from_config(saved).get_config() == config


def test_widths_and_heads_are_not_mistaken():
    block = layers.TransformerEncoderBlock(64, 8)
    assert (block.intermediate_dim, block.num_heads) == (64, 8)
    with pytest.raises(TypeError, match="positional"):
        layers.TransformerEncoderBlock(64, 8, 0.1)
    with pytest.raises(ValueError, match="did you mean 'normalize_first'"):
        layers.TransformerDecoderBlock(64, 8, norm_first=True)


@pytest.mark.parametrize(
    "cls", [layers.TransformerEncoderBlock, layers.TransformerDecoderBlock]
)
def test_masks_that_broadcast_integers_and_no_rows(cls):
    block, x = cls(13, 3, key_dim=4), draw(3, 7, 5)
    name = "mask" if cls is layers.TransformerEncoderBlock else "query_mask"
    block(x)
    shake(block)
    rows = np.array([[True], [False], [True]])
    got = to_numpy(block(x, **{name: rows}))
    expected = to_numpy(block(x, **{name: np.repeat(rows, 7, axis=1)}))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_array_equal(got[1], 0)
    steps = np.arange(7)[None] < 5
    got = to_numpy(block(x, **{name: steps}))
    expected = to_numpy(block(x, **{name: np.repeat(steps, 3, axis=0)}))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    whole = np.arange(105).reshape(3, 7, 5) % 4
    expected = to_numpy(block(whole.astype("float32")))
    np.testing.assert_allclose(to_numpy(block(whole)), expected, atol=1e-6)
    assert block(x[:0]).shape == (0, 7, 5)
