"""Image files for the console: what is read, what is refused, what is said of it."""

import hashlib
import io
import json
import os
import shutil
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

import attention_zoo
from attention_zoo.recipes.cli import main as _cli
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.images import files as _images
from attention_zoo.recipes.tasks.images import task

SHAPE = (7, 5, 1)
COLOUR = (7, 5, 3)
CLASSES = ["boot", "bag", "hat"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def draw(shape=SHAPE, seed=1):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


def save(name, pixels, mode=None, **options):
    """Writes pixels `(H, W)` or `(H, W, C)` as a file."""
    image = Image.fromarray(np.squeeze(pixels))
    image = image if mode is None else image.convert(mode)
    image.save(name, **options)
    return name


def read(name, shape=SHAPE, resize=False):
    pixels = _images.read_image(name, shape, "resize" if resize else None)
    assert pixels.dtype == np.uint8
    assert pixels.shape == shape
    return pixels


# === What is read ===


def test_grey_and_colour_as_they_are():
    grey, colour = draw(), draw(COLOUR)
    np.testing.assert_array_equal(read(save("x.png", grey)), grey)
    np.testing.assert_array_equal(read(save("x.png", colour), COLOUR), colour)
    np.testing.assert_array_equal(read("x.png")[..., 0], luminance(colour))
    both = read(save("x.PNG", grey), COLOUR)
    np.testing.assert_array_equal(both, np.repeat(grey, 3, axis=-1))


def luminance(colour):
    return np.asarray(Image.fromarray(colour).convert("L"))


def test_white_stays_white(capsys):
    """Nothing is inverted, and nothing is said of a plain file."""
    white = np.full(SHAPE, 255, "uint8")
    assert (read(save("x.png", white)) == 255).all()
    assert (read(save("x.jpg", white)) == 255).all()
    assert capsys.readouterr() == ("", "")


def test_jpeg():
    smooth = np.full(COLOUR, (200, 90, 30), "uint8")
    for name, mode in (("x.jpg", None), ("y.jpeg", "CMYK")):
        got = read(save(name, smooth, mode, quality=100), COLOUR)
        assert np.abs(got.astype(int) - smooth).max() <= 3, name


def test_palette_and_one_bit():
    grey = (draw() // 64) * 64
    got = read(save("x.png", grey, "P"))
    np.testing.assert_array_equal(got, grey)
    bits = np.where(draw() > 127, 255, 0).astype("uint8")
    np.testing.assert_array_equal(read(save("x.png", bits, "1")), bits)
    np.testing.assert_array_equal(read("x.png", COLOUR), np.repeat(bits, 3, axis=-1))


def test_sixteen_bits():
    wide = np.arange(35, dtype="uint16").reshape(7, 5) * 1900
    wide[-1, -1] = 65535
    save("x.png", wide)
    with Image.open("x.png") as image:
        assert image.mode == "I;16"
    got = read("x.png")
    np.testing.assert_array_equal(got[..., 0], np.round(wide / 257))
    assert got.max() == 255


def test_alpha_lies_on_white(capsys):
    colour = draw((7, 5, 4))
    colour[..., 3] = np.where(np.arange(5) < 2, 0, 255)
    got = read(save("x.png", colour), COLOUR)
    assert (got[:, :2] == 255).all()
    np.testing.assert_array_equal(got[:, 2:], colour[:, 2:, :3])
    assert capsys.readouterr().err == "x.png: transparent parts are taken as white\n"
    half = np.zeros((7, 5, 4), "uint8")
    half[..., 3] = 51  # a fifth of black
    np.testing.assert_array_equal(read(save("x.png", half)), 204)
    palette = Image.fromarray(draw()[..., 0]).convert("P")
    palette.save("x.png", transparency=palette.getpixel((0, 0)))
    capsys.readouterr()
    assert read("x.png", COLOUR)[0, 0].tolist() == [255, 255, 255]
    assert "taken as white" in capsys.readouterr().err
    solid = np.dstack([draw(COLOUR), np.full((7, 5), 255, "uint8")])
    np.testing.assert_array_equal(read(save("x.png", solid), COLOUR), solid[..., :3])
    np.testing.assert_array_equal(read(save("x.png", draw(), "LA")), draw())
    assert capsys.readouterr().err == ""


def test_a_photograph_stands_upright():
    image = Image.fromarray(draw((5, 7, 3)))
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was turned by a quarter
    image.save("x.jpg", exif=turned, quality=95)
    assert read("x.jpg", COLOUR).shape == COLOUR


def test_another_size(capsys):
    large = np.zeros((14, 10), "uint8")
    large[:, 5:] = 200
    save("x.png", large)
    message = "x.png is 10 x 14 pixels, the model takes 5 x 7 pixels: --resize scales"
    with pytest.raises(UserError, match=message):
        read("x.png")
    got = read("x.png", resize=True)
    assert (got[:, :2] <= 20).all()
    assert (got[:, 3:] >= 180).all()
    err = capsys.readouterr().err
    assert err == "x.png: resized from 10 x 14 pixels to 5 x 7 pixels\n"
    same = draw()
    np.testing.assert_array_equal(read(save("x.png", same), resize=True), same)
    assert capsys.readouterr().err == ""


# === What is refused ===


def png_bytes():
    file = io.BytesIO()
    Image.fromarray(draw((7, 5))).save(file, "PNG")
    return file.getvalue()


def huge_png():
    """The head of a PNG file of 60,000 by 60,000 pixels."""
    head = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    mark = zlib.crc32(head).to_bytes(4, "big")
    return (
        b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + head + mark + png_bytes()[33:]
    )


def damaged_png():
    content = bytearray(png_bytes())
    content[content.index(b"IDAT") + 8] ^= 255
    return bytes(content)


def jpeg_bytes():
    file = io.BytesIO()
    Image.fromarray(draw((70, 50))).save(file, "JPEG")
    return file.getvalue()


BAD = {
    "empty.png": (b"", "empty.png is empty"),
    "text.png": (b"a film", "text.png is no PNG, JPEG, WebP, BMP, GIF or TIFF image"),
    "drawing.png": (
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "drawing.png is no PNG",
    ),
    "head.png": (png_bytes()[:20], "head.png is"),
    "cut.png": (png_bytes()[:50], "cut.png is broken: "),
    "damaged.png": (damaged_png(), "damaged.png is broken: "),
    "cut.jpg": (jpeg_bytes()[:-300], "cut.jpg is broken: "),
    "huge.png": (huge_png(), "huge.png is too large, of more than 89,"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name, tmp_path):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refused:
        read(name)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match="^there is no file none.png$"):
        read("none.png")
    (tmp_path / "x.png").mkdir()
    with pytest.raises(UserError, match="^x.png is a folder, an image file"):
        read("x.png")
    with pytest.raises(UserError, match="cannot be read: File name too long"):
        read("x" * 300)
    save("y.png", draw())
    os.chmod("y.png", 0)
    if not os.access("y.png", os.R_OK):
        with pytest.raises(UserError, match="^y.png cannot be read: Permission"):
            read("y.png")


# === The command ===


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An entry as training writes it, of a small model with random weights."""
    folder = tmp_path_factory.mktemp("entry") / "clothes"
    folder.mkdir()
    keras.utils.set_random_seed(4)
    model = attention_zoo.create(
        "cbam_resnet", num_classes=3, input_shape=SHAPE, depth=8, width=16
    )
    model.save(folder / "model.keras")
    digest = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    card = {"sha256": digest, "classes": CLASSES, "image_shape": list(SHAPE)}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def entry(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "saved_models" / "clothes")


def test_predict(command, entry):
    files = [save(f"{i}.png", draw(seed=i)) for i in range(3)]
    model = attention_zoo.load(entry)
    rows = np.asarray(model(np.stack([draw(seed=i) for i in range(3)])))
    told = [
        f"{CLASSES[row.argmax()]}\t{row.max():.4f}\t{file}"
        for file, row in zip(files, rows, strict=True)
    ]
    code, out, err = command("predict", "clothes", *files)
    assert (code, err) == (0, "")
    assert out.splitlines() == told
    (entry.parents[1] / "bad.png").write_bytes(b"a film")
    save("large.png", draw((70, 50)))
    mixed = [files[0], "bad.png", "none.png", files[1], "large.png", files[2]]
    code, out, err = command("predict", "clothes", *mixed)
    assert code == 2
    assert out.splitlines() == told
    assert err.splitlines() == [
        "attention-zoo: error: bad.png is no PNG, JPEG, WebP, BMP, GIF or TIFF image",
        "attention-zoo: error: there is no file none.png",
        "attention-zoo: error: large.png is 50 x 70 pixels, the model takes 5 x 7 "
        "pixels: --resize scales it",
    ]
    code, out, err = command("predict", "clothes", "large.png", "--resize")
    assert code == 0
    assert out.endswith("\tlarge.png\n")
    assert err == "large.png: resized from 50 x 70 pixels to 5 x 7 pixels\n"


def test_many_files_in_several_batches(command, entry, monkeypatch):
    files = [save(f"{i}.png", draw(seed=i)) for i in range(3)]
    monkeypatch.setattr(task, "FILES_AT_ONCE", 1)
    code, out, _ = command("predict", "clothes", files[0], "none.png", files[2])
    assert code == 2
    assert [line.split("\t")[2] for line in out.splitlines()] == [files[0], files[2]]


def test_explain(command, refused, entry):
    files = [save("a.png", draw()), save("b.png", draw(seed=2))]
    code, out, err = command("explain", "clothes", *files, "--out", "seen.png")
    assert (code, err) == (0, "")
    explanation = attention_zoo.explain(
        attention_zoo.load(entry),
        np.stack([draw(), draw(seed=2)]),
        class_names=CLASSES,
    )
    note = "method attention: its methods are not measured"
    assert out == f"{note}\n{explanation.to_text()}\nseen.png\n"
    with Image.open("seen.png") as picture:
        assert picture.format == "PNG"
    code, out, _ = command(
        "explain", "clothes", "a.png", "--layer", "stage_0_block_0_attention/channel"
    )
    assert code == 0
    assert "\n   channel " in out
    os.remove("explanation.png")
    assert "unknown attention layer 'spatial'" in refused(
        "explain", "clothes", "a.png", "--layer", "spatial"
    )
    said = refused("explain", "clothes", "a.png", "--out", "a.png")
    assert said == "a.png is one of the images: give the picture another --out"
    assert refused("explain", "clothes", "a.png", "c.png") == "there is no file c.png"
    assert not os.path.exists("explanation.png")


def test_no_files(refused, entry):
    assert refused("predict", "clothes") == ("clothes takes image files, received none")


def test_help(capsys):
    for name in ("predict", "explain"):
        with pytest.raises(SystemExit):
            _cli.main([name, "--help"])
        out = " ".join(capsys.readouterr().out.split())
        assert "FILE.png" in out
        assert "--resize" in out


def test_four_and_two_channels(capsys):
    """A model of four channels gets the transparent one as it is."""
    colour = draw((7, 5, 4))
    np.testing.assert_array_equal(read(save("x.png", colour), (7, 5, 4)), colour)
    opaque = read(save("x.png", colour[..., :3]), (7, 5, 4))
    np.testing.assert_array_equal(opaque[..., :3], colour[..., :3])
    assert (opaque[..., 3] == 255).all()
    assert read(save("x.png", draw()), (7, 5, 2))[..., 1].min() == 255
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match="no image file has 5 channels"):
        read("x.png", (7, 5, 5))


@pytest.mark.parametrize("ending", ["webp", "bmp", "gif", "tiff"])
def test_other_files(ending):
    more = {"lossless": True} if ending == "webp" else {}
    grey = draw()
    np.testing.assert_array_equal(read(save(f"x.{ending}", grey, **more)), grey)


def test_dark_sixteen_bits_and_fractions_are_said(capsys):
    save("x.png", draw().astype("uint16"))
    assert read("x.png").max() <= 1
    assert capsys.readouterr().err == (
        f"x.png: its 16 bits go up to {draw().max()} of 65535, which is nearly black\n"
    )
    save("x.tiff", (draw() / 255).astype("float32"))
    np.testing.assert_array_equal(read("x.tiff"), draw())
    assert "values up to 1 are taken as shares of 255" in capsys.readouterr().err


# === Negatives ===


def test_a_negative_is_told_from_its_border():
    light = np.full(SHAPE, 250, "uint8")
    light[2:5, 1:4] = 3
    assert _images.border_of(light) == 250
    assert _images.is_inverted(light, background=0)
    assert not _images.is_inverted(255 - light, background=0)
    assert _images.is_inverted(255 - light, background=250)
    assert not _images.is_inverted(light, background=128)  # photographs
    assert not _images.is_inverted(light, background=None)  # an older card


def test_predict_turns_negatives(command, entry):
    card = json.loads((entry / "card.json").read_text())
    (entry / "card.json").write_text(json.dumps({**card, "background": 0}))
    dark = np.full(SHAPE, 5, "uint8")
    dark[2:5, 1:4] = 250
    files = [save("x.png", dark), save("y.png", 255 - dark)]
    code, out, err = command("predict", "clothes", *files)
    assert (code, len(out.splitlines())) == (0, 2)
    assert err == (
        "1 of 2 images have light and dark the other way round than those of the "
        "training: --invert turns them\n"
    )
    answer = out.splitlines()[0].replace("x.png", "y.png")
    code, out, err = command("predict", "clothes", "y.png", "--invert")
    assert (code, out, err) == (0, f"{answer}\n", "")
