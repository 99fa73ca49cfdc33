"""The pipeline of images: data, augmentation, baselines, and one smoke training."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

from attention_zoo.recipes.cli import main as _cli
from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.engine import trainer as _run
from attention_zoo.recipes.tasks.images import baselines as _baselines_images
from attention_zoo.recipes.tasks.images import pipeline as pipeline_module

augment = pipeline_module.augment


@pytest.fixture(scope="module")
def recipe():
    return _recipe.get_recipe("cbam_resnet_digits")


@pytest.fixture(scope="module")
def pipeline(recipe):
    return _recipe.load_pipeline(recipe.replace(batch_size=13), smoke=True)


@pytest.fixture(scope="module")
def digits(recipe, tmp_path_factory):
    return _recipe.load_pipeline(recipe, str(tmp_path_factory.mktemp("tfds")))


def rng():
    return np.random.default_rng(5)


def dots(count, height=11, width=7):
    """Images with one white pixel in the middle."""
    images = np.zeros((count, height, width, 1), "uint8")
    images[:, height // 2, width // 2] = 255
    return images


# === Augmentation ===


def test_without_augmentation_nothing_changes():
    images = rng().integers(0, 256, (5, 11, 7, 3)).astype("uint8")
    same = augment(images, rng(), flip=False, shift=0, erase=0.0)
    np.testing.assert_array_equal(same, images)


def test_shift_moves_by_up_to_so_many_pixels():
    moved = augment(dots(500), rng(), flip=False, shift=2, erase=0.0)
    image, rows, columns, _ = np.nonzero(moved)
    assert image.tolist() == list(range(500))  # no pixel is lost or made
    assert np.bincount(rows - 3).min() > 60  # of about 100 each
    assert np.bincount(columns - 1).min() > 60
    assert {*rows} == {3, 4, 5, 6, 7}
    assert {*columns} == {1, 2, 3, 4, 5}


def test_what_leaves_the_image_is_followed_by_zeros():
    images = np.full((50, 5, 7, 1), 9, "uint8")
    moved = augment(images, rng(), flip=False, shift=1, erase=0.0)
    kept = (moved > 0).sum(axis=(1, 2, 3))
    assert {*kept} == {4 * 6, 4 * 7, 5 * 6, 5 * 7}


def test_flip_mirrors_about_half():
    images = np.broadcast_to(np.arange(7, dtype="uint8")[:, None], (400, 5, 7, 1))
    flipped = augment(images, rng(), flip=True, shift=0, erase=0.0)
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (flipped == images).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert 150 < mirrored.sum() < 250


def test_erase_makes_a_rectangle_of_one_grey():
    images = np.arange(16 * 24, dtype="int64").reshape(16, 24, 1) % 251
    images = np.broadcast_to(images.astype("uint8"), (300, 16, 24, 1))
    erased = augment(images, rng(), flip=False, shift=0, erase=0.5)
    changed = (erased != images).any(axis=(1, 2, 3))
    assert 110 < changed.sum() < 190
    for image in erased[changed]:
        rows, columns, _ = np.nonzero(image != images[0])
        box = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert len(np.unique(box)) == 1
        assert box.shape[0] <= 8
        assert box.shape[1] <= 12


# === Batches ===


def first_batches(pipeline, **kwargs):
    return [images.numpy() for images, _ in pipeline.batches("train", **kwargs)]


def test_training_batches_are_whole_and_drawn_anew(pipeline):
    batches = pipeline.batches("train", seed=3)
    assert len(batches) == 192 // 13
    one, two = ([x.numpy() for x, _ in batches] for _ in range(2))
    assert {x.shape for x in one} == {(13, 16, 16, 1)}
    assert all(x.dtype == np.uint8 for x in one)
    assert any((x != y).any() for x, y in zip(one, two, strict=True))
    again = first_batches(pipeline, seed=3)
    assert all((x == y).all() for x, y in zip(one, again, strict=True))
    second = first_batches(pipeline, seed=3, first_pass=1)
    assert all((x == y).all() for x, y in zip(two, second, strict=True))


def test_validation_is_left_as_it_is(pipeline):
    given, labels = pipeline.raw("validation")
    (batch,) = pipeline.batches("validation")
    np.testing.assert_array_equal(batch[0], given)
    np.testing.assert_array_equal(batch[1].numpy().argmax(-1), labels)


# === Data sets ===


def test_zoo_digits_is_the_data_set_of_scikit_learn(digits):
    from sklearn.datasets import load_digits

    source = load_digits()
    parts = [digits.raw(name) for name in ("train", "validation", "test")]
    assert [len(labels) for _, labels in parts] == [1293, 144, 360]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    assert images.dtype == np.uint8
    assert images.max() == 255
    np.testing.assert_array_equal(
        np.rint(images[..., 0] / (255 / 16)), source.images.astype("int64")
    )
    np.testing.assert_array_equal(labels, source.target)
    config = digits.model_config()
    assert config == {"num_classes": 10, "input_shape": (8, 8, 1)}


def test_examples_show_the_classes_in_turn(digits):
    images, labels = digits.examples(12)
    assert labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert images.shape == (12, 8, 8, 1)


def test_evaluate_is_the_share_of_right_answers(digits):
    images, labels = digits.raw("test")
    given = keras.Input((8, 8, 1), dtype="uint8")
    zero = keras.ops.cast(given[:, 0, 0, :], "float32") * 0 + np.eye(10)[0]
    found = digits.evaluate(keras.Model(given, zero), "test")
    share = float((labels == 0).mean())
    assert found["accuracy"] == share
    assert found["macro_f1"] == pytest.approx(2 * share / (1 + share) / 10)


def test_any_data_set_of_images_will_do(recipe, tmp_path):
    import tensorflow_datasets as tfds

    class TinyColours(tfds.core.GeneratorBasedBuilder):
        """Twenty-six coloured images in three classes."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(12, 10, 3)),
                "label": tfds.features.ClassLabel(names=["red", "green", "blue"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {"train": self._examples(19), "test": self._examples(7)}

        def _examples(self, count):
            for i in range(count):
                image = np.zeros((12, 10, 3), "uint8")
                image[..., i % 3] = 200
                yield i, {"id": str(i), "image": image, "label": i % 3}

        _generate_examples = _examples

    TinyColours(data_dir=tmp_path).download_and_prepare()
    changed = recipe.with_settings(["dataset=tiny_colours", "batch_size=5"])
    pipeline = _recipe.load_pipeline(changed, str(tmp_path))
    assert pipeline.dataset == "tiny_colours/1.0.0"
    assert pipeline.classes == ["red", "green", "blue"]
    model = _run.build(changed.replace(depth=8), pipeline)
    assert model.input_shape == (None, 12, 10, 3)
    assert model.output_shape == (None, 3)
    images, labels = next(iter(pipeline.batches("train", seed=0)))
    assert images.shape == (5, 12, 10, 3)
    bright = images.numpy().sum(axis=(1, 2)).argmax(-1)
    np.testing.assert_array_equal(bright, labels.numpy().argmax(-1))
    assert len(pipeline.raw("test")[1]) == 7


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((None, None, 3), "uint8", "of one size"),
        ((5, 7, 3), "uint16", "must be uint8"),
    ],
)
def test_other_images_are_refused(shape, dtype, message):
    import tensorflow_datasets as tfds

    class Info:
        features = {"image": tfds.features.Image(shape=shape, dtype=np.dtype(dtype))}

    class Builder:
        name, info = "pets", Info

    with pytest.raises(UserError, match=f"dataset 'pets'.*{message}"):
        pipeline_module._image_shape(Builder)


def test_a_data_set_of_texts_is_refused(refused, tmp_path):
    given = ("--set", "dataset=zoo_reviews", "--data-dir", tmp_path, "--out", tmp_path)
    message = refused_after_notice(refused, "train", "cbam_resnet_digits", *given)
    assert "dataset 'zoo_reviews' does not fit this recipe" in message
    assert "features image and label" in message


def refused_after_notice(refused, *arguments):
    """As `refused`, once the data set has been made."""
    import tensorflow_datasets as tfds

    from attention_zoo.recipes.datasets import zoo_reviews

    zoo_reviews.ZooReviews(data_dir=arguments[-1]).download_and_prepare()
    assert tfds.builder("zoo_reviews", data_dir=arguments[-1]).is_prepared()
    return refused(*arguments)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("shift=-1", "shift must not be negative"),
        ("erase=1.5", "erase must be between 0 and 1"),
        ("depth=9", "Expected 6 n [+] 2"),
    ],
)
def test_bad_settings_are_refused(refused, value, message, tmp_path):
    import re

    given = ("--smoke", "--set", value, "--out", tmp_path / "out")
    assert re.search(message, refused("train", "cbam_resnet_digits", *given))
    assert not (tmp_path / "out").exists()


# === Baselines ===


def test_baselines_are_picked_on_validation():
    def part(count, seed):
        generator = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        images = generator.integers(0, 100, (count, 3, 5, 1))
        images[:, 1] += 150 * labels[:, None, None]
        return images.astype("uint8"), labels

    parts = part(60, 1), part(20, 2), part(30, 3)
    logistic = _baselines_images.logistic(*parts)
    assert logistic["accuracy"] == logistic["validation_accuracy"] == 1
    assert logistic["C"] in (1e-3, 1e-2, 1e-1)
    nearest = _baselines_images.neighbours(*parts)
    assert nearest["accuracy"] == 1
    assert nearest["neighbours"] == 1  # all are right: the first


# === A training, whole ===


def test_train_predict_and_explain(tmp_path, command):
    out = tmp_path / "out"
    arguments = ("--smoke", "--epochs", "1", "--set", "depth=8", "--out", str(out))
    assert _cli.main(["train", "cbam_resnet_digits", *arguments]) == 0
    entry = out / "cbam_resnet_digits"
    card = json.loads((entry / "card.json").read_text())
    assert card["image_shape"] == [16, 16, 1]
    assert card["classes"] == ["left", "right"]
    assert card["baselines"].keys() == {
        "logistic_regression",
        "nearest_neighbours",
        "no_attention",
    }
    text = (entry / "README.md").read_text()
    assert "explain cbam_resnet_digits FILE.png" in text
    assert "word" not in text
    images, _ = pipeline_module._generated_split("test")
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "one.png")
    code, line, _ = command("predict", entry, tmp_path / "one.png")
    model = keras.models.load_model(entry / "model.keras")
    expected = keras.ops.convert_to_numpy(model(images[:1]))[0]
    assert code == 0
    name, probability, _ = line.split("\t")
    assert name == ["left", "right"][expected.argmax()]
    assert float(probability) == pytest.approx(expected.max(), abs=1e-3)
    picture = tmp_path / "explained.png"
    code, _, _ = command("explain", entry, tmp_path / "one.png", "--out", picture)
    assert code == 0
    assert np.asarray(Image.open(picture)).std() > 10
