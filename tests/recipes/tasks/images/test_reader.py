"""Own images: folders and tables, what is converted and said, what is refused."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import own
from attention_zoo.recipes.tasks.images import reader
from attention_zoo.recipes.tasks.images.sets import warn_of_range

SIZE = (7, 5)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path, pixels=None, seed=1, **options):
    pixels = draw(seed) if pixels is None else pixels
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def draw(seed=1, shape=SIZE):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


def read(*data, **options):
    return reader.read(own.Request(data=list(data), options=options))


def refuse(*data, **options):
    with pytest.raises(UserError) as refused:
        read(*data, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_folder_by_class():
    save("set/cat/a.png", seed=1)
    save("set/cat/more/b.bmp", seed=2)
    save("set/dog/c.webp", seed=3, lossless=True)
    save("set/dog/d.tiff", seed=1)
    save("set/dog/e.gif", seed=5)
    records = read("set")
    assert records.labels == ["cat", "cat", "dog", "dog", "dog"]
    assert records.parts == [""] * 5
    assert records.example(1)["label"] == 0
    assert records.example(4)["label"] == 1
    for i, seed in enumerate((1, 2, 3, 1, 5)):
        pixels = records.example(i)["image"]
        if records.facts([0])["image_shape"][2] == 3:
            pixels = pixels[..., :1]
        np.testing.assert_array_equal(pixels[..., 0], draw(seed))
    assert records.keys[0] == records.keys[3]
    assert len({*records.keys}) == 4
    assert records.facts([0, 2])["images"] == 2


def test_parts_and_stray_files(empty_folder):
    for part, seed in (("train", 1), ("Val", 2), ("test", 3)):
        save(f"set/{part}/0/a.png", seed=seed)
        save(f"set/{part}/1/a.png", seed=seed + 3)
    save("set/stray.png")
    (empty_folder / "set" / "train" / "0" / "notes.txt").write_text("x")
    (empty_folder / "set" / ".DS_Store").write_text("x")
    records = read("set")
    assert records.parts == ["validation"] * 2 + ["test"] * 2 + ["train"] * 2
    assert records.notes == [
        "set: 2 files are no image of a class and are left out: stray.png, "
        "train/0/notes.txt"
    ]


def test_what_is_converted_is_counted():
    turned = Image.Exif()
    turned[0x0112] = 6
    save("set/a/grey.png", draw(1))
    save("set/a/colour.png", draw(2, (7, 5, 3)))
    save("set/a/wide.png", (draw(3).astype("uint16") * 4))
    clear = draw(4, (7, 5, 4))
    clear[..., 3] = 0
    save("set/b/clear.png", clear)
    save("set/b/turned.jpg", draw(5, (5, 7, 3)), exif=turned)
    save("set/b/large.png", draw(6, (14, 10)))
    records = read("set", image_size=SIZE)
    assert records.facts([0])["image_shape"] == [7, 5, 3]
    assert records.notes == [
        "converted: 3 grey to colour, 1 16 bits to 8, 1 transparent parts are taken as "
        "white, 1 resized, 1 turned upright",
        f"set/a/wide.png: its 16 bits go up to {4 * int(draw(3).max())} of 65535, "
        "which is nearly black",
    ]
    places = [records.place(i) for i in range(6)]
    clear = records.example(places.index("set/b/clear.png"))["image"]
    assert (clear == 255).all()


def test_padding_keeps_the_proportions():
    save("set/a/x.png", np.full((4, 8), 200, "uint8"))
    save("set/b/y.png", np.full((8, 8), 100, "uint8"))
    records = read("set", image_size=(8, 8), pad=True)
    image = records.example(0)["image"][..., 0]
    assert (image[2:6] == 200).all()
    assert (image[:2] == 0).all()
    assert (image[6:] == 0).all()
    assert records.facts([0])["fit"] == "pad"
    stretched = read("set", image_size=(8, 8)).example(0)["image"]
    assert (stretched == 200).all()


def test_a_table(empty_folder):
    save("pictures/x.png", seed=1)
    save("pictures/y.png", seed=2)
    table = empty_folder / "table.csv"
    table.write_text("file,class\npictures/x.png,good\npictures/y.png,bad\n")
    records = read("table.csv")
    assert records.labels == ["good", "bad"]
    np.testing.assert_array_equal(records.example(1)["image"][..., 0], draw(2))
    assert "no column 'clas' (--label). Did you mean class" in refuse(
        "table.csv", label="clas"
    )
    table.write_text("file,class\npictures/x.png,good\npictures/z.png,bad\n")
    assert "table.csv, row 2: there is no file 'pictures/z.png' in" in refuse(
        "table.csv"
    )
    table.write_text("file,class\npictures/x.png,good\npictures/y.png,\n")
    assert refuse("table.csv") == "table.csv, row 2: the label is empty"


def test_what_is_refused(empty_folder):
    save("set/a/x.png")
    assert "set holds one class, a" in refuse("set")
    save("set/b/y.png", draw(1, (9, 5)))
    assert refuse("set") == (
        "the images have 2 sizes, e.g. set/a/x.png 7 x 5 and set/b/y.png 9 x 5 (height "
        "x width): give --image-size H W, and --pad to keep their proportions"
    )
    assert "takes two positive numbers" in refuse("set", image_size=(0, 4))
    (empty_folder / "set" / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    message = refuse("set", image_size=SIZE)
    assert message.startswith("set/b/broken.png is ")
    assert message.endswith(": mend or remove them")
    (empty_folder / "none").mkdir()
    assert "none holds no images: they are expected as CLASS/NAME.png" in refuse("none")


def test_pixels_that_look_scaled():
    assert "not x / 255" in warn_of_range(np.eye(3)[None, ..., None])
    assert warn_of_range(draw()[None, ..., None]) is None
    assert warn_of_range(np.zeros((1, 2, 2, 1))) is None


def test_defaults_follow_the_images():
    for model in ("attention_convnet", "cbam_resnet", "vision_transformer"):
        few = reader.recipe_for(model, {"images": 100, "image_shape": (28, 28, 1)})
        many = reader.recipe_for(model, {"images": 10**5, "image_shape": (96, 64, 3)})
        assert (few.batch_size, few.epochs) == (16, 40)
        assert (many.batch_size, many.epochs) == (128, 5)
    assert few.config["patch_size"] == 2
    assert many.config["patch_size"] == 8
    assert few.epochs > many.epochs


@pytest.mark.slow
def test_training_and_predicting(command, empty_folder):
    rng = np.random.default_rng(0)
    for label, low in (("dark", 0), ("light", 150)):
        for i in range(12):
            pixels = rng.integers(low, low + 100, (8, 8, 3)).astype("uint8")
            save(f"set/{label}/{i}.png", pixels)
    options = ["--data", "set", "--epochs", "1", "--data-dir", "tfds", "--name", "mine"]
    small = [
        f"--set={x}"
        for x in ("depth=8", "width=4", "attention=efficient_channel_attention")
    ]
    size = ["--image-size", "6", "8", "--pad"]
    code, out, err = command("train", "cbam_resnet", *options, *small, *size)
    assert code == 0, err
    assert "24 rows: train 20, validation 2, test 2" in out
    assert "converted: 24 padded" in out
    card = json.loads(
        (empty_folder / "saved_models" / "mine" / "card.json").read_text()
    )
    assert card["image_shape"] == [6, 8, 3]
    assert card["settings"]["fit"] == "pad"
    assert not (empty_folder / "saved_models" / "mine" / "attention.png").exists()
    code, out, err = command("predict", "mine", "set/dark/0.png")
    assert (code, out.count("\t")) == (0, 2), err
    assert "set/dark/0.png: padded from 8 x 8 pixels to 8 x 6 pixels" in err
