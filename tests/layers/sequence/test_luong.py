import keras
import numpy as np
import pytest
from support import formulas
from support.check_layer import Case, built_layer, named_weights, to_numpy

from attention_zoo import layers
from attention_zoo.layers.sequence.luong import gaussian_window

SHAPES = {"query": (2, 11, 5), "value": (2, 7, 3), "key": (2, 7, 13)}
SAME = {"query": (2, 11, 5), "value": (2, 7, 3), "key": (2, 7, 5)}
MASKS = ("query_mask", "value_mask", "key_mask")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def formula(score, alignment="global", window=10, vector=False):
    """Sections 3.1 and 3.2 of the paper, one decoder step at a time."""

    def compute(weights, inputs, masks):
        q, v, k = inputs["query"], inputs["value"], inputs["key"]
        bare = formulas.bare(weights)
        seen = formulas.visible(masks, len(q), q.shape[1], v.shape[1])
        scores = formulas.score(score, bare, q, k)
        sources = formulas.visible(
            {n: m for n, m in masks.items() if n != "query_mask"}, len(q), 1, 7
        )[:, 0]
        out = np.zeros(scores.shape)
        for b, t in np.ndindex(q.shape[:2]):
            gauss = np.ones(7)
            near = np.ones(7, bool)
            s = np.arange(7)
            if alignment == "local_m":
                near = (s >= t - window) & (s <= t + window)
            if alignment == "local_p":
                hidden = np.tanh(bare["position_kernel"].T @ q[b, t])
                p = sources[b].sum() * sigmoid(bare["position_scale"] @ hidden)
                near = (s >= p - window) & (s <= p + window)
                gauss = np.exp(-((s - p) ** 2) / (2 * (window / 2) ** 2))
            row = formulas.softmax(scores[b, t][None], (seen[b, t] & near)[None])
            out[b, t] = row[0] * gauss
        context = np.einsum("bts,bsd->btd", out, v)
        if vector:
            visible = seen.any(-1, keepdims=True)
            both = np.concatenate([context, np.where(visible, q, 0)], axis=-1)
            context = np.tanh(both @ bare["attention_kernel"])
        return context, out

    return compute


def case(score="general", shapes=SHAPES, **config):
    arguments = {k: config[k] for k in ("alignment", "window") if k in config}
    return Case(
        name="-".join(["luong", score, *map(str, config.values())]),
        cls=layers.LuongAttention,
        config={"score": score, **config},
        inputs=shapes,
        formula=formula(score, vector="attention_units" in config, **arguments),
        masks=MASKS,
        scores=(2, 11, 7),
        dynamic=() if score == "location" else (1,),
        unread=("key",) if score == "location" else (),
    )


CASES = [
    case(),
    case("dot", SAME, attention_units=17),
    case("concat", alignment="local_m", window=2, units=19),
    case("dot", SAME, alignment="local_m", window=2, block_size=3),
    case("general", alignment="local_p", window=2, attention_units=17),
    case("concat", alignment="local_p", window=3, units=19),
    case("location", alignment="local_p"),
]


def call(layer, **options):
    return to_numpy(layer(**CASES[0].draw(), return_attention_scores=True, **options))


def test_a_window_over_everything_is_global():
    wide = built_layer(CASES[0], alignment="local_m", window=11)
    layer = built_layer(CASES[0])
    wide.set_weights(layer.get_weights())
    for got, expected in zip(call(wide), call(layer), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_very_wide_predicted_window_is_global():
    wide = built_layer(CASES[0], alignment="local_p", window=10**6)
    layer = built_layer(CASES[0])
    layer.set_weights([w for w in wide.get_weights() if w.shape == (5, 13)])
    for got, expected in zip(call(wide), call(layer), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_local_m_is_the_engines_window():
    layer = built_layer(CASES[0], alignment="local_m", window=3)
    engine = layers.Attention("general", window=3)
    engine(**CASES[0].draw())
    engine.set_weights(layer.get_weights())
    for got, expected in zip(call(layer), call(engine), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_gaussian_window_by_hand():
    # D = 4, so that the deviation is 2: a distance of 2 is one deviation.
    closeness, near = to_numpy(
        gaussian_window(
            np.array([[1.5]], "float32"),
            np.arange(7, dtype="float32")[None],
            4,
        )
    )
    z = np.array([1.5, 0.5, 0.5, 1.5, 2.5, 3.5, 4.5]) / 2
    np.testing.assert_allclose(closeness[0, 0], np.exp(-(z**2) / 2), atol=1e-7)
    np.testing.assert_array_equal(near[0, 0], [1, 1, 1, 1, 1, 1, 0])


@pytest.mark.parametrize("before", [2, 0])
def test_predicted_places_count_unpadded_positions(before):
    """Padding on either side, here four positions in all, shifts nothing."""
    layer = built_layer(CASES[0], alignment="local_p", window=2)
    inputs = CASES[0].draw()
    padded, mask = {"query": inputs["query"]}, np.zeros((2, 11), bool)
    mask[:, before : before + 7] = True
    for name in ("value", "key"):
        padded[name] = np.full((2, 11, inputs[name].shape[-1]), 9, "float32")
        padded[name][:, before : before + 7] = inputs[name]
    got = to_numpy(layer(**padded, value_mask=mask))
    np.testing.assert_allclose(got, to_numpy(layer(**inputs)), atol=1e-6)


def test_causal_mask_joins_the_window():
    layer = built_layer(CASES[0], alignment="local_p", window=3)
    free = call(layer)[1] > 0
    weights = call(layer, use_causal_mask=True)[1]
    after = np.arange(7) > np.arange(11)[:, None]
    assert free[:, after].any()
    assert (weights[:, after] == 0).all()
    later = np.zeros((2, 11, 7), bool)
    later[:, :, 3:] = True
    weights = call(layer, attention_mask=later)[1]
    assert (weights[:, :, :3] == 0).all()
    assert (weights[:, :, 3:] > 0).any()


def test_attentional_vector_width_is_the_output_width():
    layer = layers.LuongAttention(attention_units=17)
    output = layer(keras.Input((None, 5)), keras.Input((None, 3)))
    assert output.shape == (None, None, 17)
    assert named_weights(layer)["attention_kernel"].shape == (8, 17)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"alignment": "local"}, "Expected one of .*local_m.*Received: alignment='loc"),
        ({"alignment": "local_m", "window": 0}, "positive integer.*window=0"),
        ({"window": 3}, "'local_m' or 'local_p' only.*window=3"),
        ({"attention_units": 0.5}, "positive integer.*attention_units=0.5"),
        ({"alignment": "local_p", "block_size": 4}, "`block_size`.*block_size=4"),
        ({"score": "generl"}, "did you mean 'general'"),
    ],
)
def test_bad_arguments(config, message):
    with pytest.raises(ValueError, match=message):
        layers.LuongAttention(**config)
