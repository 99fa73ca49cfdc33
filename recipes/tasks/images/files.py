"""Image files to raw pixels: what is read, what is converted, what is refused."""

import pathlib
import sys
import warnings

import numpy as np

from attention_zoo.recipes.core.errors import UserError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
KINDS = "PNG, JPEG, WebP, BMP, GIF or TIFF"
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # of Pillow, by channels
FITS = ("resize", "pad")
DARK = 4096  # 16-bit values below it look black: they are of 12 bits or fewer
ORIENTATION = 0x0112  # of EXIF


def read_image(path, shape, fit=None):
    """Reads an image as a model takes it, see `convert`.

    What makes another picture of it is said on stderr.

    Args:
        path: An image file of one of `FORMATS`.
        shape: Height, width and channels that the model takes.
        fit: `"resize"` scales an image of another size, its proportions too; `"pad"`
            keeps them and lays it on black. None refuses it.

    Returns:
        A uint8 array `(H, W, C)`.

    Raises:
        UserError: One line that names the file.
    """
    size = (shape[1], shape[0])
    image = open_image(path)
    if image.size != size and not fit:
        raise UserError(
            f"{path} is {_size(image.size)}, the model takes {_size(size)}: --resize "
            "scales it"
        )

    def say(_, line=None):
        if line:
            print(f"{path}: {line}", file=sys.stderr)

    return convert(image, shape, fit, say)


def convert(image, shape, fit, say):
    """Returns an image of Pillow as a uint8 array `(H, W, C)`.

    Colour becomes grey by its luminance, and grey all three colours; 16 bits become 8
    by their full range; what is transparent is laid on white, unless a channel for it
    is asked for. Nothing is inverted: a model that was trained on white things on black
    gets black things on white as they are.

    Args:
        image: The image, upright.
        shape: Height, width and channels.
        fit: `"resize"` or `"pad"`, or None where the size is right.
        say: Function of what is done, in a few words, and of a line on this image or
            None.
    """
    from PIL import ImageOps

    height, width, channels = shape
    if channels not in MODES:
        raise UserError(f"no image file has {channels} channels")
    image = _eight_bits(image, say)
    if channels in (1, 3):
        image = _on_white(image, say)
    mode = MODES[channels]
    if image.mode != mode:
        if len(image.getbands()) != channels:
            say("grey to colour" if mode.startswith("RGB") else "colour to grey")
        image = image.convert(mode)
    if image.size != (width, height):
        done = "padded" if fit == "pad" else "resized"
        say(done, f"{done} from {_size(image.size)} to {_size((width, height))}")
        if fit == "pad":
            image = ImageOps.pad(image, (width, height))
        else:
            image = image.resize((width, height))
    return np.asarray(image, dtype="uint8").reshape(shape)


def open_image(path, say=lambda *_: None):
    """Returns an image, all of it read and upright, as its EXIF says.

    Args:
        path: The file.
        say: As in `convert`.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = pathlib.Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF data, for instance
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                image.load()
                if image.getexif().get(ORIENTATION, 1) != 1:
                    say("turned upright")
                if getattr(image, "n_frames", 1) > 1:
                    say("moving, of which the first picture is taken")
                return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, an image file is needed") from None
    except UnidentifiedImageError:
        what = f"no {KINDS} image" if path.stat().st_size else "empty"
        raise UserError(f"{path} is {what}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise UserError(f"{path} is too large, of more than {most}") from None
    except Exception as error:  # Pillow raises a dozen kinds on a broken file
        reason = getattr(error, "strerror", None)
        what = f"cannot be read: {reason}" if reason else f"is broken: {error}"
        raise UserError(f"{path} {what}") from None


def border_of(pixels):
    """Returns the middle value along the border of an image `(H, W, C)`."""
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    return float(np.median(np.concatenate(edges)))


def is_inverted(pixels, background):
    """Returns whether an image is light where those of the training are dark.

    Or the other way round: its border is nearer to the opposite of theirs, by far.

    Args:
        pixels: uint8 array `(H, W, C)`.
        background: What the borders of the training images are, 0 to 255; None if that
            is not known.
    """
    if background is None:
        return False
    border = border_of(pixels)
    return abs(border - (255 - background)) + 96 < abs(border - background)


def _eight_bits(image, say):
    """Returns an image of 16 bits, or of fractions, as one of 8 bits."""
    from PIL import Image

    if image.mode.startswith("I"):
        values = np.asarray(image).clip(0, 65535)
        dark = f"its 16 bits go up to {values.max()} of 65535, which is nearly black"
        say("16 bits to 8", dark if values.max() < DARK else None)
        return Image.fromarray((values / 257).round().astype("uint8"))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        share = bool(values.max() <= 1)
        say("fractions to 8 bits", "values up to 1 are taken as shares of 255" * share)
        values = (values * (255 if share else 1)).clip(0, 255)
        return Image.fromarray(values.round().astype("uint8"))
    return image


def _on_white(image, say):
    """Returns an image without transparent parts, laid on white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema()[0] < 255:
        done = "transparent parts are taken as white"
        say(done, done)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _size(size):
    """Returns width and height as words."""
    return f"{size[0]} x {size[1]} pixels"
