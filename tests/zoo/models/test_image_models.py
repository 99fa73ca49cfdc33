"""The image models: raw pixels in, blocks, patches, selective kernels, twins."""

import keras
import numpy as np
import pytest

import attention_zoo
from attention_zoo import layers
from attention_zoo.models import vision_transformer
from attention_zoo.models.cbam_resnet import FAMILIES

ATTENTIONS = [n for f in FAMILIES for n in layers.list_attentions(family=f)]


def pixels(*shape, seed=3):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


def values(tensor):
    return keras.ops.convert_to_numpy(tensor)


def part(model, name):
    """The model up to a layer."""
    return keras.Model(model.input, model.get_layer(name).output)


def test_pixels_are_scaled_inside():
    model = attention_zoo.create("cbam_resnet", num_classes=3, depth=8)
    images = pixels(2, 28, 28, 1)
    scaled = values(part(model, "rescale")(images))
    np.testing.assert_allclose(scaled, images / 127.5 - 1.0, atol=1e-6)
    np.testing.assert_allclose(
        values(model(images)), values(model(images.astype("float32"))), atol=1e-6
    )


def test_cbam_resnet_20_has_the_size_of_the_paper():
    model = attention_zoo.create("cbam_resnet", num_classes=10)
    plain = attention_zoo.create("cbam_resnet", num_classes=10, attention=None)
    # He et al. 2016 give 0.27 M; here also 1 x 1 shortcuts and statistics of norms.
    assert plain.count_params() == 273_754
    # CBAM: a gate without bias of 2 C ceil(C / 16) and one of 7 * 7 * 2, in 9 blocks.
    gates = [layer for layer in model.layers if isinstance(layer, layers.CBAM)]
    assert len(gates) == 9
    added = sum(gate.count_params() for gate in gates)
    assert model.count_params() == 273_754 + added
    reach = [
        layer for layer in plain.layers if getattr(layer, "kernel_size", 0) == (3, 3)
    ]
    assert len(reach) == 19  # and one dense layer: 20


def test_a_residual_block_is_its_formula():
    model = attention_zoo.create(
        "cbam_resnet", num_classes=3, depth=8, attention="squeeze_excite"
    )
    images = pixels(2, 28, 28, 1)
    name = "stage_1_block_0"
    names = ("second_norm", "shortcut_norm", "relu")
    branch, shortcut, out = (
        values(part(model, f"{name}_{layer}")(images)) for layer in names
    )
    attended = values(model.get_layer(f"{name}_attention")(branch))
    assert out.shape == (2, 14, 14, 32)
    np.testing.assert_allclose(out, np.maximum(attended + shortcut, 0), atol=1e-5)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_vision_attention_fits_the_resnet(attention):
    config = {"name": attention}
    if attention == "window_attention":
        config["window_size"] = 1
    model = attention_zoo.create(
        "cbam_resnet",
        num_classes=3,
        input_shape=(8, 12, 3),
        depth=8,
        attention=config,
    )
    assert model.output_shape == (None, 3)
    plain = attention_zoo.create(
        "cbam_resnet", num_classes=3, input_shape=(8, 12, 3), depth=8, attention=None
    )
    more = model.count_params() > plain.count_params()
    assert more or attention in {"simam"}  # which has no weights


def test_patches_are_cut_row_by_row():
    maps = np.arange(2 * 4 * 6 * 3, dtype="float32").reshape(2, 4, 6, 3)
    found = values(vision_transformer._cut(keras.ops.convert_to_tensor(maps), 2))
    expected = [
        maps[:, y : y + 2, x : x + 2].reshape(2, -1) for y in (0, 2) for x in (0, 2, 4)
    ]
    np.testing.assert_array_equal(found, np.stack(expected, axis=1))


@pytest.mark.parametrize("attention", [None, "multi_head_attention"])
def test_patches_see_each_other_by_attention_alone(attention):
    model = attention_zoo.create(
        "vision_transformer",
        num_classes=3,
        input_shape=(4, 6, 1),
        patch_size=2,
        width=8,
        num_layers=2,
        num_heads=2,
        attention=attention,
        dropout=0.0,
    )
    images = pixels(1, 4, 6, 1)
    changed = images.copy()
    changed[0, 0, 0, 0] ^= 128  # of the first patch
    before, after = (values(part(model, "norm")(x)) for x in (images, changed))
    moved = np.abs(after - before).max(axis=(0, 2)) > 1e-5
    assert moved.tolist() == [True] + [attention is not None] * 5


def test_class_attention_weighs_the_patches():
    model = attention_zoo.create(
        "vision_transformer", num_classes=3, width=8, num_layers=1, num_heads=2
    )
    with layers.record_attention() as records:
        model(pixels(2, 28, 28, 1))
    weights = {r.layer_name: values(r.weights) for r in records}
    assert weights["self_attention"].shape == (2, 2, 49, 49)
    summary = weights["class_attention"].reshape(2, 2, 49)
    np.testing.assert_allclose(summary.sum(axis=-1), 1, atol=1e-5)


def test_selective_kernels_choose_between_reaches():
    model = attention_zoo.create(
        "attention_convnet", num_classes=3, input_shape=(12, 8, 3), width=8
    )
    with layers.record_attention() as records:
        model(pixels(2, 12, 8, 3))
    shapes = [record.weights.shape for record in records]
    assert shapes == [(2, 2, 8), (2, 2, 16), (2, 2, 32)]
    for record in records:
        np.testing.assert_allclose(values(record.weights).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("cbam_resnet", {"depth": 19}, "Expected 6 n [+] 2"),
        ("cbam_resnet", {"depth": 2}, "Expected 6 n [+] 2"),
        ("cbam_resnet", {"num_classes": 1}, "integer of at least 2"),
        ("cbam_resnet", {"input_shape": (28, 28)}, "height, width and channels"),
        ("cbam_resnet", {"input_shape": (None, 28, 1)}, "height, width and channels"),
        ("cbam_resnet", {"attention": "self_attention"}, "one of the families"),
        ("cbam_resnet", {"attention": "cbamm"}, "cbam"),
        ("cbam_resnet", {"attention": 3}, "Received: attention=3"),
        ("cbam_resnet", {"dropout": 1.0}, "dropout"),
        ("vision_transformer", {"patch_size": 5}, "divides height and width"),
        ("vision_transformer", {"attention": "cbam"}, "or None"),
        ("vision_transformer", {"num_layers": 0}, "num_layers"),
        ("attention_convnet", {"attention": "cbam"}, "one of the families"),
        ("attention_convnet", {"num_stages": 0}, "num_stages"),
    ],
)
def test_bad_arguments_are_named(name, config, message):
    with pytest.raises(ValueError, match=message):
        attention_zoo.create(name, **{"num_classes": 3, **config})
