"""Image classification: raw pixels of one TFDS dataset, augmented in NumPy."""

import numpy as np
import tensorflow as tf

import attention_zoo
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import loading as _data
from attention_zoo.recipes.tasks.classification import (
    Classification,
    in_turn,
    scores_of,
)
from attention_zoo.recipes.tasks.images import baselines as _baselines_images
from attention_zoo.recipes.tasks.images.files import FITS, border_of
from attention_zoo.recipes.tasks.images.sets import warn_of_range
from attention_zoo.recipes.tasks.shared import dataset_of, mean_correlation, predict

SMOKE_SIZES = {"train": 192, "validation": 64, "test": 64}
SMOKE_CLASSES = ["left", "right"]


class Pipeline(Classification):
    """Images of one TFDS dataset with the features `image` and `label`.

    All images have the same size, which the model takes from the data. They stay raw
    pixels throughout, uint8 `(B, H, W, C)`: rescaling is the model's part.

    The recipe's `pipeline` dict holds what training does to each image, in every epoch
    anew: `flip` (mirrors half of them), `shift` (moves them by up to so many pixels,
    zeros follow) and `erase` (share of them in which a rectangle becomes one grey). Of
    own data it also holds `fit`, how images of another size are made to fit, and what
    `train` was asked for: `start`, `freeze` and `class_weight`.

    Args:
        recipe: The `Recipe`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        smoke: Whether to take a handful of generated images instead of the data.
    """

    def __init__(self, recipe, data_dir=None, smoke=False):
        super().__init__(recipe, data_dir, smoke)
        _check_options(**self.options)
        self.augmentation = {k: self.options[k] for k in ("flip", "shift", "erase")}
        self.shows_attention = recipe.config.get("attention") is not None
        if smoke:
            self.dataset, self.classes = "generated/smoke", SMOKE_CLASSES
            self.image_shape = (16, 16, 1)
            self.splits = _data.OnDemand(_generated_split)
            return
        self._builder = _data.tfds_builder(recipe.dataset, data_dir)
        self.dataset = self._builder.info.full_name
        self.source = _data.source_of(self._builder)
        self.classes = _data.class_names(self._builder, "image", "label")
        self.image_shape = _image_shape(self._builder)
        self.splits = _data.OnDemand(self._prepared_split)

    # === Data ===

    def _prepared_split(self, name):
        """Returns the images `(N, H, W, C)` and labels `(N,)` of a split."""
        part = getattr(self.recipe, f"{name}_split")
        columns = _data.read_columns(self._builder, part)
        if (line := warn_of_range(columns["image"])) and name == "train":
            print(f"{self.dataset}: {line}", flush=True)
        return columns["image"], columns["label"]

    def raw(self, split):
        return self.splits[split]

    @property
    def background(self):
        """The middle value of the borders of the training images, 0 to 255."""
        return round(np.median([border_of(x) for x in self.raw("train")[0][:1000]]))

    def examples(self, count):
        """Returns raw test images for a picture: the first of each class in turn."""
        images, labels = self.raw("test")
        picked = in_turn(labels, np.arange(len(labels)), count)
        return images[picked], labels[picked]

    # === Training ===

    def model_config(self):
        return {
            "num_classes": len(self.classes),
            "input_shape": tuple(self.image_shape),
        }

    def batches(self, split, seed=None, first_pass=0):
        """Returns `(pixels, one-hot labels)` batches: `(B, H, W, C)`, `(B, classes)`.

        In training images are shuffled and augmented anew in every pass, and only
        whole batches are made.
        """
        images, labels = self.splits[split]
        targets = np.eye(len(self.classes), dtype="float32")[labels]
        size = 256 if seed is None else min(self.recipe.batch_size, len(images))
        steps = -(-len(images) // size) if seed is None else len(images) // size

        def one_pass(rng):
            count = len(images)
            order = np.arange(count) if rng is None else rng.permutation(count)
            for step in range(steps):
                rows = order[step * size : (step + 1) * size]
                batch = images[rows]
                if rng is not None:
                    batch = augment(batch, rng, **self.augmentation)
                yield batch, targets[rows]

        batch = None if seed is None else size
        shapes = (
            tf.TensorSpec((batch, *self.image_shape), "uint8"),
            tf.TensorSpec((batch, len(self.classes)), "float32"),
        )
        return dataset_of(one_pass, shapes, steps, seed, first_pass)

    # === Measurements ===

    def evaluate(self, model, split, sample=None):
        """Returns accuracy and macro F1 of a model of raw pixels on a split."""
        images, labels = self.raw(split)
        picked = np.linspace(0, len(images) - 1, sample or len(images)).astype(int)
        answers = predict(model, images[picked]).argmax(-1)
        return scores_of(answers, labels[picked])

    def baselines(self):
        parts = [self.raw(name) for name in ("train", "validation", "test")]
        return {
            "logistic_regression": lambda: _baselines_images.logistic(*parts),
            "nearest_neighbours": lambda: _baselines_images.neighbours(*parts),
        }

    def attention_report(self, servable, count=20):
        """Returns what is known about the attention on test images.

        Args:
            servable: The model from raw pixels.
            count: Number of images.

        Returns:
            Dict of `rank_correlation`, the mean over `rank_correlation_images` images
            of Spearman's correlation between the weight of a part of the image and how
            far the prediction moves when it is hidden. Empty for a model without
            attention.
        """
        if not self.shows_attention:
            return {}
        inputs, _ = self.examples(count)
        occlusion = attention_zoo.explain(servable, inputs).occlusion()
        return mean_correlation(occlusion, "images")


# === Augmentation ===


def augment(images, rng, flip, shift, erase):
    """Returns images flipped, shifted and erased at random.

    Args:
        images: uint8 array `(N, H, W, C)`.
        rng: The random generator.
        flip: Whether each image is mirrored with probability one half.
        shift: Pixels that an image moves at most, in both directions.
        erase: Probability that a rectangle of an image becomes one grey, of an eighth
            to a half of its height and width.
    """
    count, height, width, _ = images.shape
    moves = rng.integers(0, 2 * shift + 1, (2, count, 1))
    rows, columns = np.arange(height) + moves[0], np.arange(width) + moves[1]
    if flip:
        mirrored = rng.random(count) < 0.5
        columns[mirrored] = columns[mirrored, ::-1]
    padded = np.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)))
    image = np.arange(count)[:, None, None]
    moved = padded[image, rows[:, :, None], columns[:, None, :]]
    for i in np.flatnonzero(rng.random(count) < erase):
        top, high = _stretch(rng, height)
        left, wide = _stretch(rng, width)
        moved[i, top : top + high, left : left + wide] = rng.integers(256)
    return moved


def _stretch(rng, length):
    """Returns the start and size of an eighth to a half of `length` pixels."""
    size = rng.integers(max(1, length // 8), length // 2 + 1)
    return rng.integers(length - size + 1), size


# === Checks and the smoke images ===


def _check_options(flip, shift, erase, fit="", start=None, freeze=0, class_weight=None):
    """Raises `UserError` for values outside their range."""
    if not isinstance(flip, bool):
        raise UserError(f"flip must be true or false, received {flip}")
    if shift < 0:
        raise UserError(f"shift must not be negative, received {shift}")
    if not 0 <= erase <= 1:
        raise UserError(f"erase must be between 0 and 1, received {erase}")
    if fit not in ("", *FITS):
        raise UserError(f"fit must be one of {', '.join(FITS)}, received {fit}")


def _image_shape(builder):
    """Returns height, width and channels, after a check that all images share them."""
    feature = builder.info.features["image"]
    if len(feature.shape) != 3 or None in feature.shape or feature.np_dtype != np.uint8:
        raise UserError(
            f"dataset '{builder.name}' does not fit this recipe: its images must be "
            f"uint8 and of one size, and the feature image has shape {feature.shape} "
            f"and type {np.dtype(feature.np_dtype).name}"
        )
    return list(feature.shape)


def _generated_split(name):
    """Returns noisy images with a bright square on the left or right, and labels."""
    count = SMOKE_SIZES[name]
    rng = np.random.default_rng(list(SMOKE_SIZES).index(name))
    images = rng.integers(0, 128, (count, 16, 16, 1))
    labels = rng.integers(0, 2, count)
    for image, label in zip(images, labels, strict=True):
        top, left = rng.integers(0, 11), 9 * label + rng.integers(0, 3)
        image[top : top + 5, left : left + 5] += 127
    return images.astype("uint8"), labels
