"""explain on images: maps are the layers' own, and hiding finds what counts."""

import keras
import numpy as np
import pytest
from keras import ops

import attention_zoo
from attention_zoo import layers
from attention_zoo.interpret import images as explain_images
from attention_zoo.interpret.image_maps import patch_means, token_grid, upsample
from attention_zoo.layers.core.recording import record

H, W = 12, 8
NAMES = ["boot", "bag"]


@keras.saving.register_keras_serializable("tests")
class Drawn(keras.layers.Layer):
    """Passes its input on and records given weights."""

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.drawn = np.asarray(weights, dtype="float32")

    def call(self, inputs):
        record(self, ops.convert_to_tensor(self.drawn))
        return inputs


def draw(rows=2, channels=1):
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (rows, H, W, channels)).astype("uint8")


def drawn_model(*weights, channels=1, score=None):
    """A model whose layers `drawn_0`, ... on the raw pixels used given weights.

    Its outputs hang on the brightness of rows 3 to 5 and columns 0 to 2 alone.
    """
    pixels = keras.Input((H, W, channels), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(pixels)
    for i, given in enumerate(weights):
        x = Drawn(given, name=f"drawn_{i}")(x)
    bright = ops.mean(x[:, 3:6, :3], axis=(1, 2, 3))
    outputs = ops.stack([1 - bright, bright], axis=-1)
    return keras.Model(pixels, outputs)


def vision_model(attention, size=(8, 8), channels=8):
    """A model of one vision layer `attention` between a convolution and a head."""
    keras.utils.set_random_seed(3)
    pixels = keras.Input((*size, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(channels, 3, padding="same", name="conv")(x)
    layer = layers.create_attention(attention[0], **attention[1])
    layer.name = "attention"
    x = layer(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))


def random_pixels(size=(8, 8), rows=2):
    return np.random.default_rng(1).integers(0, 256, (rows, *size, 3)).astype("uint8")


# === Which layers there are, and what their weights are of ===

# Attention, its arguments, and what the weights of its parts are of: `p`ositions,
# `c`hannels or `b`ranches.
VISION = [
    ("axial_attention", {"num_heads": 2}, {"/axis_0": "p", "/axis_1": "p"}),
    ("bam", {"ratio": 2}, {"": "p"}),
    ("cbam", {"ratio": 2}, {"/channel": "c", "/spatial": "p"}),
    ("channel_attention", {"ratio": 2}, {"": "c"}),
    ("concurrent_squeeze_excite", {}, {"/channel": "c", "/spatial": "p"}),
    ("criss_cross", {"ratio": 2}, {"": "p"}),
    ("double_attention", {"ratio": 1}, {"": "p"}),
    ("dual_attention", {"ratio": 2}, {"/position": "p", "/channel": "c"}),
    ("dynamic_conv", {}, {"": "b"}),
    ("efficient_channel_attention", {}, {"": "c"}),
    ("gather_excite", {"extent": 4}, {"": "p"}),
    ("global_context", {"ratio": 2}, {"": "p"}),
    ("non_local", {"pool_size": 2}, {"": "p"}),
    ("pixel_attention", {}, {"": "p"}),
    ("selective_kernel", {"ratio": 2}, {"": "b"}),
    ("squeeze_excite", {"ratio": 2, "data_format": "channels_first"}, {"": "c"}),
    ("spatial_attention", {"data_format": "channels_first"}, {"": "p"}),
    (
        "triplet_attention",
        {},
        {"/height_width": "p", "/height_channel": "c", "/width_channel": "c"},
    ),
    (
        "window_attention",
        {"num_heads": 2, "window_size": 3, "shift_size": 1},
        {"": "p"},
    ),
]
KINDS = {"p": "positions", "c": "channels", "b": "branches"}


@pytest.mark.parametrize(
    ("name", "config", "kinds"), VISION, ids=[v[0] for v in VISION]
)
def test_vision_layers(name, config, kinds):
    """As many channels as rows, columns and so on: shapes alone do not tell."""
    explanation = attention_zoo.explain(vision_model((name, config)), random_pixels())
    assert isinstance(explanation, explain_images.ImageExplanation)
    kinds = {part: KINDS[kind] for part, kind in kinds.items()}
    found = {n: explanation.kind_of(n) for n in explanation.weights}
    assert found == {f"attention{part}": kind for part, kind in kinds.items()}
    for part, kind in kinds.items():
        weights = explanation.weights[f"attention{part}"]
        assert weights.ndim == {"channels": 2, "positions": 3}.get(kind, weights.ndim)
        assert np.isfinite(weights).all()
        if kind == "positions":
            assert explanation.maps(f"attention{part}").shape == (2, 8, 8)
    best = explanation.default_layer
    if "positions" in kinds.values():
        assert explanation.kind_of(best) == "positions"
    if name in ("axial_attention", "criss_cross", "window_attention", "non_local"):
        np.testing.assert_allclose(
            explanation.weights[best].sum(axis=(1, 2)), 1, rtol=1e-5
        )


def test_gates_are_the_layers_own_and_survive_saving(tmp_path):
    model = vision_model(("cbam", {"ratio": 2}))
    pixels = random_pixels()
    explanation = attention_zoo.explain(model, pixels, class_names=["a", "b", "c"])
    maps = keras.Model(model.input, model.get_layer("conv").output)(pixels)
    _, (channel, spatial) = model.get_layer("attention")(
        maps, return_attention_scores=True
    )
    found = explanation.weights
    for name, own in (("channel", channel), ("spatial", spatial)):
        own = ops.convert_to_numpy(own)
        np.testing.assert_allclose(found[f"attention/{name}"], own, atol=1e-6)
    outputs = ops.convert_to_numpy(model(pixels))
    np.testing.assert_allclose(explanation.predictions, outputs, atol=1e-6)
    assert explanation.verdict(0)[0] == "abc"[outputs[0].argmax()]
    model.save(tmp_path / "model.keras")
    again = attention_zoo.explain(attention_zoo.load(tmp_path / "model.keras"), pixels)
    assert list(again.weights) == list(found)
    for name, weights in again.weights.items():
        np.testing.assert_allclose(weights, found[name], atol=1e-6)


def patch_model(class_token=False):
    """Patches of 4 x 4 pixels, one attention over them, and class attention."""
    keras.utils.set_random_seed(8)
    pixels = keras.Input((H, W, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(10, 4, strides=4, name="patches")(x)
    x = keras.layers.Reshape((-1, 10))(x)
    if class_token:
        x = keras.layers.ZeroPadding1D((1, 0))(x)
    x = layers.MultiHeadAttention(2, 5, name="mixing")(x, x)
    x = layers.MultiHeadAttentionPooling(2, 5, name="pooling")(x)
    outputs = keras.layers.Dense(1, activation="sigmoid")(x)
    return keras.Model(pixels, outputs)


@pytest.mark.parametrize("class_token", [False, True])
def test_patches_row_by_row(class_token):
    explanation = attention_zoo.explain(patch_model(class_token), draw())
    assert explanation.default_layer == "pooling"
    for name in ("mixing", "pooling"):
        used = explanation.records[name].weights
        assert used.shape[-1] == 6 + class_token
        expected = used.mean(axis=(1, 2))[:, class_token:].reshape(2, 3, 2)
        np.testing.assert_allclose(explanation.weights[name], expected, rtol=1e-5)
    assert explanation.predictions.shape == (2, 2)  # both classes of one sigmoid


def test_parts_of_parts_survive_saving(tmp_path):
    both = layers.Parallel(
        [{"name": "cbam", "ratio": 2}, "spatial_attention"], merge="gated", name="both"
    )
    pixels = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Conv2D(6, 3)(keras.layers.Rescaling(1 / 255)(pixels))
    keras.Model(pixels, keras.layers.Flatten()(both(x))).save(tmp_path / "x.keras")
    loaded = keras.models.load_model(tmp_path / "x.keras")
    explanation = attention_zoo.explain(loaded, random_pixels())
    assert list(explanation.weights) == [
        "both/cbam/channel",
        "both/cbam/spatial",
        "both/spatial_attention",
    ]


def test_a_layer_within_another_model_and_one_called_twice():
    inner = vision_model(("spatial_attention", {}))
    pixels = keras.Input((8, 8, 3), dtype="uint8")
    outer = keras.Model(pixels, inner(pixels))
    weights = attention_zoo.explain(inner, random_pixels()).weights
    (name,) = attention_zoo.explain(outer, random_pixels()).weights
    assert [name] == list(weights)
    stacked = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(5, 3, strides=2, padding="same"),
            layers.SpatialAttention(name="stacked"),
            keras.layers.Flatten(),
        ]
    )
    floats = keras.layers.Rescaling(1 / 255)(pixels)
    found = attention_zoo.explain(keras.Model(pixels, stacked(floats)), random_pixels())
    assert found.weights["stacked"].shape == (2, 4, 4)
    twice = layers.SpatialAttention(name="twice")
    outputs = keras.layers.Flatten()(twice(twice(floats)))
    explanation = attention_zoo.explain(keras.Model(pixels, outputs), random_pixels())
    assert list(explanation.weights) == ["twice", "twice_2"]


def test_windows_lines_and_crosses_stand_where_they_look():
    """One bright pixel draws the looks of all that see it."""
    x, spot = np.zeros((1, 7, 5, 2), "float32"), (4, 3)
    x[0, spot[0], spot[1]] = 9
    for name, config in (
        ("window_attention", {"num_heads": 1, "window_size": 3, "shift_size": 2}),
        ("axial_attention", {"num_heads": 1}),
        ("criss_cross", {"ratio": 1, "recurrence": 1}),
    ):
        maps = keras.Input((7, 5, 2))
        layer = layers.create_attention(name, **config)
        outputs = keras.layers.GlobalAveragePooling2D()(layer(maps))
        for part in layer._flatten_layers():
            if part.name == "query":  # a query of ones, keys of the pixels themselves
                kernel, bias = part.weights
                kernel.assign(np.zeros(kernel.shape))
                bias.assign(np.ones(bias.shape))
            elif part.name == "key":
                part.weights[0].assign(np.eye(2))
        explanation = attention_zoo.explain(keras.Model(maps, outputs), x)
        found = next(iter(explanation.weights.values()))[0]
        assert np.unravel_index(found.argmax(), found.shape) == spot, name


# === Maps, patches, hiding ===


def test_upsampling():
    small = np.array([[[0.0, 1.0], [2.0, 3.0]]])
    nearest = upsample(small, (4, 4), "nearest")
    np.testing.assert_array_equal(nearest[0], np.kron(small[0], np.ones((2, 2))))
    between = [0, 0.25, 0.75, 1]
    expected = 2 * np.array(between)[:, None] + between
    np.testing.assert_allclose(upsample(small, (4, 4))[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(upsample(small, (2, 2)), small)
    assert upsample(np.ones((2, 3, 2)), (7, 5)).shape == (2, 7, 5)
    np.testing.assert_allclose(upsample(np.ones((1, 3, 2)), (7, 5)), 1, rtol=1e-6)
    np.testing.assert_array_equal(  # the cell that a pixel begins in
        upsample(np.arange(3.0).reshape(1, 3, 1), (5, 1), "nearest")[0, :, 0],
        [0, 0, 1, 1, 2],
    )


def test_means_over_patches():
    maps = np.arange(35.0).reshape(1, 7, 5)
    means = patch_means(maps, 3)
    assert means.shape == (1, 3, 2)
    assert means[0, 0, 0] == maps[0, :3, :3].mean()
    assert means[0, 2, 1] == maps[0, 6:, 3:].mean()


def test_grid_of_tokens():
    assert token_grid(6, (12, 8), []) == (3, 2)
    assert token_grid(6, (12, 8), [(6, 4), (2, 3)]) == (2, 3)  # as the model has it
    assert token_grid(49, (28, 28), []) == (7, 7)
    assert token_grid(50, (28, 28), []) is None
    assert token_grid(0, (28, 28), []) is None


def test_a_known_map_and_what_hiding_does():
    weights = np.full((2, 4, 3), 0.25)
    weights[:, 1, 0] = 0.75  # rows 3 to 5 and columns 0 to 2 of the image
    pixels = draw()
    explanation = attention_zoo.explain(drawn_model(weights), pixels)
    np.testing.assert_array_equal(explanation.weights_of("drawn_0"), weights)
    shown = explanation.maps(interpolation="nearest")
    expected = np.kron(weights, np.ones((1, 3, 3)))[:, :, :W]
    np.testing.assert_array_equal(shown, expected)
    found = explanation.occlusion(patch=3, batch_size=5)
    assert found.moves.shape == (2, 4, 3)
    rest = np.ones((4, 3), bool)
    rest[1, 0] = False
    np.testing.assert_allclose(found.moves[:, rest], 0, atol=1e-6)
    for b in range(2):
        bright = pixels[b, 3:6, :3].mean() / 255
        hidden = np.round(pixels[b].mean()) / 255
        sign = 1 if explanation.predictions[b].argmax() else -1
        expected = sign * (bright - hidden)
        np.testing.assert_allclose(found.moves[b, 1, 0], expected, atol=1e-5)
    np.testing.assert_allclose(found.rank_correlation, 1)
    assert explanation.occlusion().moves.shape == (2, 12, 8)  # 8 // 7 pixels
    flat = attention_zoo.explain(drawn_model(np.ones((2, 4, 3))), pixels)
    assert np.isnan(flat.occlusion(patch=4).rank_correlation).all()


def test_channels_alone_hide_nothing():
    model = vision_model(("squeeze_excite", {"ratio": 2}))
    explanation = attention_zoo.explain(model, random_pixels())
    found = explanation.occlusion()
    assert found.moves.shape == (2, 0, 0)
    assert found.rank_correlation.shape == (2,)
    assert np.isnan(found.rank_correlation).all()


def test_default_layer():
    image, mean = np.ones((2, 3, 2)), np.ones((2, 6, 4))
    model = drawn_model(image, mean, np.ones((2, 1)))
    assert attention_zoo.explain(model, draw()).default_layer == "drawn_1"
    model.get_layer("drawn_1").score = None  # a mean that is not learned
    assert attention_zoo.explain(model, draw()).default_layer == "drawn_0"


# === Words and pictures ===


def test_text():
    weights = np.zeros((2, 3, 2))
    weights[:, 1, 0], weights[:, 2, 1] = 1, 0.5
    gates = np.array([[0.75], [0.5]])
    model = drawn_model(weights, gates)
    explanation = attention_zoo.explain(model, draw(), class_names=NAMES)
    lines = explanation.to_text().splitlines()
    assert lines[0] == f"1. {explanation.verdict(0)}"
    assert lines[0][3:6] in ("boo", "bag")
    assert lines[1:6] == [
        "   +----+",
        "   |    |",
        "   |@@  |",
        "   |  ++|",
        "   +----+ 0 to 1",
    ]
    assert explanation.to_text("drawn_1").splitlines()[1] == "   channel 0 0.750"
    wide = attention_zoo.explain(vision_model(("spatial_attention", {}), (60, 30)),
                                 random_pixels((60, 30)))  # fmt: skip
    rows = [line for line in wide.to_text().splitlines() if "|" in line]
    assert len(rows) == 2 * 20
    assert {len(row) for row in rows} == {3 + 2 * 10 + 2}
    branches = attention_zoo.explain(
        vision_model(("selective_kernel", {"ratio": 2})), random_pixels()
    )
    share = branches.weights["attention"][0].mean(axis=-1)
    assert f"branch {share.argmax()} {share.max():.3f}" in branches.to_text()


def test_plots(tmp_path):
    pixels = random_pixels()
    explanation = attention_zoo.explain(
        vision_model(("cbam", {"ratio": 2})), pixels, class_names=["$", "_", "^"]
    )
    figure = explanation.plot()
    image, heat, bars = figure.axes[:3]
    assert len(figure.axes) == 6
    np.testing.assert_array_equal(image.get_images()[0].get_array(), pixels[0])
    over = heat.get_images()[1]
    np.testing.assert_allclose(over.get_array(), explanation.maps()[0])
    assert heat.get_title() == explanation.verdict(0)
    heights = [patch.get_height() for patch in bars.patches]
    np.testing.assert_allclose(heights, explanation.weights["attention/channel"][0])
    figure.savefig(tmp_path / "attention.png")
    assert len(explanation.plot("attention/channel", max_inputs=1).axes) == 3
    for name, count in (("squeeze_excite", 2), ("spatial_attention", 2)):
        config = {"ratio": 2} if count and name == "squeeze_excite" else {}
        alone = attention_zoo.explain(vision_model((name, config)), pixels)
        assert len(alone.plot(max_inputs=1).axes) == count


# === Refusals ===


def test_errors():
    model = drawn_model(np.ones((2, 3, 2)), np.ones((2, 1)))
    explanation = attention_zoo.explain(model, draw())
    with pytest.raises(ValueError, match="takes images. Received: vocabulary="):
        attention_zoo.explain(model, draw(), vocabulary=["a"])
    with pytest.raises(ValueError, match=r"Received: inputs.shape=\(2, 11, 8, 1\)"):
        attention_zoo.explain(model, draw()[:, 1:])
    with pytest.raises(ValueError, match=r"inputs.shape=\(12, 8, 1\)"):
        attention_zoo.explain(model, draw()[0])
    for scaled in (draw() / 255, draw() - 300.0):
        with pytest.raises(ValueError, match="raw pixels of dtype uint8"):
            attention_zoo.explain(model, scaled)
    same = attention_zoo.explain(model, draw().astype("float32")).predictions
    np.testing.assert_array_equal(same, explanation.predictions)
    with pytest.raises(ValueError, match="whose weights are of channels"):
        explanation.maps("drawn_1")
    with pytest.raises(ValueError, match="interpolation='cubic'"):
        explanation.maps(interpolation="cubic")
    with pytest.raises(ValueError, match="patch=0"):
        explanation.occlusion(patch=0)
    for method in (explanation.maps, explanation.occlusion, explanation.plot):
        with pytest.raises(ValueError, match="Unknown attention layer.*'drawn_7'"):
            method("drawn_7")
    with pytest.raises(ValueError, match="weights of positions, of channels or"):
        attention_zoo.explain(
            drawn_model(np.ones((2, 5, 11))), draw(), method="attention"
        )
    anysize = keras.Input((None, None, 1), dtype="uint8")
    model = keras.Model(anysize, keras.layers.GlobalAveragePooling2D()(anysize))
    with pytest.raises(ValueError, match="an input of a known size"):
        attention_zoo.explain(model, draw())


def test_gates_of_maps_are_no_attention_among_patches():
    """A map of 4 x 4 gates must not pass for the attention among 2 x 2 patches."""
    inputs = keras.Input((4, 4, 3))
    x = layers.SpatialAttention()(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(x))
    pixels = np.random.default_rng(0).random((2, 4, 4, 3)).astype("float32")
    for method in ("rollout", "flow", "value_norm", "attention_x_gradient"):
        with pytest.raises(ValueError, match="needs attention weights of positions"):
            attention_zoo.explain(model, pixels, method=method)
