"""Images of many files, alike in size and channels."""

import collections
import hashlib

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.images.files import convert, open_image

COLOUR_MODES = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa")
NAMED = 3  # of many stray or broken files


class Images:
    """Images of files, alike in size and channels, converted when they are asked for.

    Args:
        paths: List of paths.
        size: Height and width that all images get, or None for those that they have.
        fit: `"resize"` or `"pad"`, for images of another size.
        pictures: List of Pillow's images, where they are no files.

    Attributes:
        shape: Height, width and channels: colour if one of them has it, else grey.
        keys: Digest of the pixels of each image, equal for duplicates.
        done: `Counter` of what was converted.
        lines: What was said of single images, the first of each kind.

    Raises:
        UserError: For images that are broken, which are named, and for two sizes
            where none is asked for.
    """

    def __init__(self, paths, size=None, fit="resize", pictures=None):
        self.paths, self.fit, self.pictures = list(paths), fit, pictures
        self.done: collections.Counter = collections.Counter()
        self.lines: dict = {}
        size, channels = self._look(size)
        self.shape = (*size, channels)
        self.keys = []
        for i in range(len(self.paths)):
            pixels = self._read(i, self._note)
            self.keys.append(hashlib.sha256(pixels.tobytes()).hexdigest())

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        return self._read(i, lambda *_: None)

    def _read(self, i, say):
        path = self.paths[i]
        return convert(
            self._open(i, say),
            self.shape,
            self.fit,
            lambda done, line=None: say(done, line and f"{path}: {line}"),
        )

    def _open(self, i, say=lambda *_: None):
        return self.pictures[i] if self.pictures else open_image(self.paths[i], say)

    def _note(self, done, line=None):
        """Counts what is done to an image."""
        self.done[done] += 1
        if line:
            self.lines.setdefault(done, line)

    def _look(self, size):
        """Returns the size and the number of channels, after a look at all images."""
        sizes: dict = {}
        broken, colour = [], False
        for i, path in enumerate(self.paths):
            try:
                image = self._open(i)
            except UserError as error:
                broken.append(str(error))
                continue
            sizes.setdefault(image.size[::-1], []).append(path)
            colour = colour or image.mode in COLOUR_MODES
        if broken:
            more = len(broken) - NAMED
            raise UserError(
                "; ".join(broken[:NAMED])
                + (f"; and {more} more broken images" if more > 0 else "")
                + ": mend or remove them"
            )
        if size is None and len(sizes) > 1:
            first, second = list(sizes)[:2]
            raise UserError(
                f"the images have {len(sizes)} sizes, e.g. {sizes[first][0]} "
                f"{first[0]} x {first[1]} and {sizes[second][0]} {second[0]} x "
                f"{second[1]} (height x width): give --image-size H W, and --pad to "
                "keep their proportions"
            )
        return tuple(size or next(iter(sizes))), 3 if colour else 1

    def told(self):
        """Yields lines on what was converted."""
        if self.done:
            counts = ", ".join(f"{n:,} {done}" for done, n in self.done.items())
            yield f"converted: {counts}"
        for done, line in self.lines.items():
            if done in ("16 bits to 8", "fractions to 8 bits"):
                yield line


def warn_of_range(pixels):
    """Returns a line on pixels that look scaled, or None.

    Args:
        pixels: Array `(N, H, W, C)`.
    """
    pixels = np.asarray(pixels)
    if pixels.size and pixels.max() <= 1 and pixels.any():
        return "no pixel is above 1: models take raw pixels, 0 to 255, not x / 255"
    return None
