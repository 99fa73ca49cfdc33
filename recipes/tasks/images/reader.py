"""Own images: folders by class, tables of paths and labels, TFDS sets."""

import dataclasses
import pathlib

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import Recipe
from attention_zoo.recipes.datasets import own, tables
from attention_zoo.recipes.tasks.images.sets import NAMED, Images

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
PART_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
IGNORED = ("thumbs.db", "desktop.ini")  # beside what begins with a dot
PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path")


def add_arguments(parser):
    """Adds the options of images to a parser."""
    add = parser.add_argument
    add("--image", metavar="COLUMN", help="images: the column of their paths")
    add(
        "--image-size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="images: height and width that they are resized to",
    )
    add(
        "--pad",
        action="store_true",
        default=None,
        help="images: keep their proportions, on black, where they are resized",
    )


def options(args):
    """Returns the dict of the options that decide what is read."""
    names = ("image", "label", "image_size", "pad", "delimiter", "encoding")
    return {name: getattr(args, name, None) for name in names}


# === Reading ===


def read(request):
    """Returns the `Records` of images."""
    given = request.options
    size, fit = given.get("image_size"), "pad" if given.get("pad") else "resize"
    if size is not None and min(size) < 1:
        raise UserError(f"--image-size takes two positive numbers, received {size}")
    if request.tfds_name:
        rows, images, names = _read_tfds(request, size, fit)
        notes = []
    else:
        rows, notes = _read_given(request)
        images = Images([path for path, _, _ in rows], size, fit)
        notes += images.told()
        names = sorted({label for _, label, _ in rows}, key=_number_or_name)
    number = {name: i for i, name in enumerate(names)}
    labels = [label for _, label, _ in rows]
    shape = images.shape

    def features():
        import tensorflow_datasets as tfds

        return tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=shape, encoding_format="png"),
                "label": tfds.features.ClassLabel(names=names),
            }
        )

    def facts(chosen):
        return {
            "images": len(chosen),
            "classes": len(names),
            "image_shape": list(shape),
            "fit": fit if size is not None else "",
        }

    return own.Records(
        example=lambda i: {"image": images[i], "label": number[labels[i]]},
        features=features,
        parts=[part for _, _, part in rows],
        labels=labels,
        keys=images.keys,
        place=lambda i: str(rows[i][0]),
        columns=("image", "label"),
        facts=facts,
        notes=notes,
    )


def _read_given(request):
    """Returns rows of path, label and part, and lines on what is left out."""
    rows, notes, given = [], [], request.options
    for part, data in request.given():
        if not own.is_words(data):
            table = read_table(data, "table", given.get("image"), given.get("label"))
            rows += [(path, label, part) for path, label in table]
            continue
        for path in tables.find_files(data):
            if path.is_dir():
                found, strays = read_folder(path, {} if part else PART_NAMES)
                rows += [
                    (file, label, part or own_part) for file, label, own_part in found
                ]
                notes += told_strays(path, strays)
            else:
                frame = tables.read_table(
                    path, given.get("delimiter"), given.get("encoding")
                )
                found = read_table(frame, path, given.get("image"), given.get("label"))
                rows += [(file, label, part) for file, label in found]
    return rows, notes


def _number_or_name(label):
    return (0, int(label), "") if label.isdecimal() else (1, 0, label)


def _read_tfds(request, size, fit):
    """Returns rows, images and class names of a TFDS data set."""
    from PIL import Image

    from attention_zoo.recipes.datasets import loading

    name, given = request.tfds_name, request.options
    builder = loading.tfds_builder(name, request.data_dir)
    image, label = given.get("image") or "image", given.get("label") or "label"
    names = loading.class_names(builder, image, label)
    rows, pictures = [], []
    for part in [part for part in own.PARTS if part in builder.info.splits]:
        columns = loading.read_split(builder, part)
        for i, (pixels, number) in enumerate(
            zip(columns[image], columns[label], strict=True)
        ):
            rows.append((f"{name}, {part}, image {i}", names[int(number)], part))
            pictures.append(Image.fromarray(np.squeeze(pixels)))
    return rows, Images([row[0] for row in rows], size, fit, pictures), names


def read_folder(folder, part_names=None):
    """Returns the images of a folder `CLASS/*.png` or `PART/CLASS/*.png`.

    Args:
        folder: The folder. Classes may hold folders of their own.
        part_names: Dict from names of folders, in small letters, to parts.

    Returns:
        List of `(path, label, part)`, and the list of the stray files: those that are
        no images or lie in no class.

    Raises:
        UserError: Where there are no images, or fewer than two classes.
    """
    folder = pathlib.Path(folder)
    rows, strays = [], []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        parents = path.relative_to(folder).parts[:-1]
        if path.name.startswith(".") or path.name.lower() in IGNORED:
            continue
        part = (part_names or {}).get(parents[0].lower(), "") if parents else ""
        if path.suffix.lower() not in SUFFIXES or len(parents) < 1 + bool(part):
            strays.append(path)
            continue
        rows.append((path, parents[1 if part else 0], part))
    if not rows:
        raise UserError(
            f"{folder} holds no images: they are expected as CLASS/NAME.png, or "
            f"{', '.join(SUFFIXES[1:])}"
        )
    labels = {label for _, label, _ in rows}
    if len(labels) < 2:
        raise UserError(
            f"{folder} holds one class, {next(iter(labels))}: each class has a folder "
            "of its own in it, and a classifier needs two"
        )
    return rows, strays


def read_table(frame, file, path=None, label=None):
    """Returns the images that a table names.

    Args:
        frame: The `pandas.DataFrame`, its cells texts.
        file: Where it comes from: paths are looked up beside it.
        path: Name of the column of paths. Defaults to one that is called so.
        label: Name of the column of labels. Defaults to `label` or `class`.

    Returns:
        List of `(path, label)`.
    """
    file = pathlib.Path(file)
    path = _find_column(frame, path, PATH_COLUMNS, file, "--image")
    label = _find_column(frame, label, ("label", "class"), file, "--label")
    rows = []
    pairs = zip(frame[path].astype("str"), frame[label].astype("str"), strict=True)
    for i, (name, value) in enumerate(pairs, start=1):
        found = file.parent / name.strip()
        if not name.strip() or not found.is_file():
            raise UserError(
                f"{file}, row {i}: there is no file '{name}' in "
                f"{file.parent.resolve()}: paths are relative to the table"
            )
        if value.strip().lower() in ("", "nan", "none", "<na>"):
            raise UserError(f"{file}, row {i}: the label is empty")
        rows.append((found, value.strip()))
    return rows


def _find_column(frame, name, usual, file, option):
    """Returns the name of a column that is given, or is one of the usual ones."""
    lower = {str(column).lower(): column for column in frame}
    if name is None:
        name = next((lower[u] for u in usual if u in lower), None)
    return tables.need_column(frame, name, file, option)


def told_strays(folder, strays):
    """Yields the line on files of a folder that are not taken."""
    if strays:
        names = ", ".join(str(path.relative_to(folder)) for path in strays[:NAMED])
        more = len(strays) - NAMED
        yield (
            f"{folder}: {len(strays)} files are no image of a class and are left out: "
            f"{names}{f' and {more} more' if more > 0 else ''}"
        )


# === Defaults ===


def recipe_for(model, facts):
    """Returns the `Recipe` of a model on own images."""
    count, shape = facts.get("images", 10000), facts.get("image_shape", (32, 32, 3))
    batch = 16 if count < 1000 else 32 if count < 10000 else 128
    steps = -(-count // batch)
    side = min(shape[:2])
    config = {
        "attention_convnet": {
            "width": 16 if side > 64 else 32,
            "num_stages": 3 if side < 64 else 4,
            "attention": "selective_kernel",
            "dropout": 0.2,
        },
        "cbam_resnet": {
            "depth": 14 if side < 64 else 20,
            "width": 16,
            "attention": "cbam",
            "dropout": 0.0,
        },
        "vision_transformer": {
            "patch_size": _patch_size(shape),
            "width": 64,
            "num_layers": 4,
            "num_heads": 4,
            "attention": "multi_head_attention",
            "dropout": 0.1,
        },
    }[model]
    return Recipe(
        name=model,
        model=model,
        dataset="",
        kind="images",
        expected={},
        config=config,
        pipeline={
            "flip": False,  # a mirrored letter is another letter
            "shift": max(1, side // 16),
            "erase": 0.0,
            "fit": facts.get("fit", ""),
        },
        batch_size=batch,
        epochs=min(40, max(5, round(3000 / steps))),
        learning_rate=2e-3,
        weight_decay=0.05,
        label_smoothing=0.05,
        ema=0.98 if steps >= 100 else 0.0,
    )


def adapted(recipe, facts):
    """Returns a recipe with how own images are made to fit."""
    return dataclasses.replace(
        recipe, pipeline={**recipe.pipeline, "fit": facts.get("fit", "")}
    )


def _patch_size(shape):
    """Returns the side of patches that cut an image in at most about 200."""
    height, width = shape[:2]
    fitting = [p for p in range(1, 33) if height % p == 0 and width % p == 0]
    few = [p for p in fitting if height * width // p**2 <= 200]
    return few[0] if few else fitting[-1]
