"""Image files for `attention-zoo predict` and `explain`: PNG and JPEG to raw pixels."""

import pathlib
import sys
import warnings

import numpy as np

from attention_zoo.recipes.core.errors import UserError

FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB"}  # of Pillow, by the channels that a model takes


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
