"""Image files for `attention-zoo predict` and `explain`: PNG and JPEG to raw pixels."""

import pathlib
import sys
import warnings

import numpy as np

from attention_zoo.interpret.base import class_probabilities
from attention_zoo.interpret.images import MOST_DRAWN
from attention_zoo.recipes.core.errors import UserError, one_line

FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB"}  # of Pillow, by the channels that a model takes
FILES_AT_ONCE = 64  # to predict together


def takes_images(entry):
    """Returns whether an entry's card is that of an image model."""
    return "image_shape" in entry.card


# === Commands ===


def read_images(entry, files, resize=False):
    """Returns image files as `(B, H, W, C)` raw pixels, or raises `UserError`.

    Args:
        entry: The `Entry` of an image model.
        files: List of paths.
        resize: As in `read_image`.
    """
    _check_count(entry, files)
    shape = entry.card["image_shape"]
    return np.stack([read_image(file, shape, resize) for file in files])


def print_classes(entry, files, resize=False):
    """Prints class, probability and file name of each image that can be read.

    Args:
        entry: The `Entry` of an image model.
        files: List of paths.
        resize: As in `read_image`.

    Returns:
        The exit code: 0, or 2 if a file could not be read, which stderr names.
    """
    _check_count(entry, files)
    model, code, names = None, 0, entry.card.get("classes")
    for start in range(0, len(files), FILES_AT_ONCE):
        pixels, read = [], []
        for file in files[start : start + FILES_AT_ONCE]:
            try:
                pixels.append(read_image(file, entry.card["image_shape"], resize))
                read.append(file)
            except UserError as error:
                print(f"attention-zoo: error: {one_line(error)}", file=sys.stderr)
                code = 2
        if not read:
            continue
        model = model or entry.load()
        rows = class_probabilities(model(np.stack(pixels), training=False))
        for file, row in zip(read, rows, strict=True):
            best = int(row.argmax())
            name = names[best] if names else f"class {best}"
            print(f"{name}\t{row[best]:.4f}\t{_printable(file)}")
        sys.stdout.flush()
    return code


def check_target(out, files):
    """Raises `UserError` where the picture would replace one of the images.

    Args:
        out: Path of the picture.
        files: List of paths that exist.
    """
    if out.exists() and any(out.samefile(file) for file in files):
        raise UserError(f"{out} is one of the images: give the picture another --out")
    if len(files) > MOST_DRAWN:
        print(
            f"{out} shows the first {MOST_DRAWN} of {len(files)} images",
            file=sys.stderr,
        )


def _check_count(entry, files):
    if not files:
        raise UserError(f"{entry.name} takes PNG or JPEG files, received none")


def _printable(file):
    """Returns a file's name for a line of the output."""
    return "".join(c if c.isprintable() else "?" for c in str(file))


# === Files ===


def read_image(path, shape, resize=False):
    """Reads an image as a model takes it.

    A photograph is turned upright as its EXIF says. Colour becomes grey by its
    luminance, and grey all three colours; 16 bits become 8; what is transparent is
    laid on white, and stderr says so. Nothing is inverted: a model that was trained on
    white things on black gets black things on white as they are.

    Args:
        path: A PNG or JPEG file.
        shape: Height, width and channels that the model takes.
        resize: Whether an image of another size is scaled, its proportions too; stderr
            says so. Otherwise it is refused.

    Returns:
        A uint8 array `(H, W, C)`.

    Raises:
        UserError: One line that names the file.
    """
    height, width, channels = shape
    image = _open(path)
    if image.size != (width, height) and not resize:
        raise UserError(
            f"{path} is {_size(image.size)}, the model takes {_size((width, height))}: "
            "--resize scales it"
        )
    image = _on_white(_eight_bits(image), path).convert(MODES[channels])
    if image.size != (width, height):
        print(
            f"{path}: resized from {_size(image.size)} to {_size((width, height))}",
            file=sys.stderr,
        )
        image = image.resize((width, height))
    return np.asarray(image, dtype="uint8").reshape(shape)


def _open(path):
    """Returns an image, all of it read and upright."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = pathlib.Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF data, for instance
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                image.load()
                return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, a PNG or JPEG file is needed") from None
    except UnidentifiedImageError:
        what = "no PNG or JPEG image" if path.stat().st_size else "empty"
        raise UserError(f"{path} is {what}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise UserError(f"{path} is too large, of more than {most}") from None
    except Exception as error:  # Pillow raises a dozen kinds on a broken file
        reason = getattr(error, "strerror", None)
        what = f"cannot be read: {reason}" if reason else f"is broken: {error}"
        raise UserError(f"{path} {what}") from None


def _eight_bits(image):
    """Returns an image of 16 bits as one of 8: 65535 becomes 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).clip(0, 65535) / 257
    return Image.fromarray(values.round().astype("uint8"))


def _on_white(image, path):
    """Returns an image without transparent parts, laid on white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema()[0] < 255:
        print(f"{path}: transparent parts are taken as white", file=sys.stderr)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _size(size):
    """Returns width and height as words."""
    return f"{size[0]} x {size[1]} pixels"
