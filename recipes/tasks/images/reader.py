"""Own images: folders by class, tables of paths and labels, TFDS sets."""

import collections
import hashlib
import pathlib

import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.images.files import convert, open_image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
IGNORED = ("thumbs.db", "desktop.ini")  # beside what begins with a dot
PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path")
COLOUR_MODES = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa")
NAMED = 3  # of many stray or broken files


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
    from attention_zoo.recipes.datasets import tables

    lower = {str(column).lower(): column for column in frame}
    if name is None:
        name = next((lower[u] for u in usual if u in lower), None)
    return tables.need_column(frame, name, file, option)


class Images:
    """Images of files, alike in size and channels, converted when they are asked for.

    Args:
        paths: List of paths.
        size: Height and width that all images get, or None for those that they have.
        fit: `"resize"` or `"pad"`, for images of another size.

    Attributes:
        shape: Height, width and channels: colour if one of them has it, else grey.
        keys: Digest of the pixels of each image, equal for duplicates.
        done: `Counter` of what was converted.
        lines: What was said of single images, the first of each kind.

    Raises:
        UserError: For images that are broken, which are named, and for two sizes
            where none is asked for.
    """

    def __init__(self, paths, size=None, fit="resize"):
        self.paths, self.fit = list(paths), fit
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
            open_image(path, say),
            self.shape,
            self.fit,
            lambda done, line=None: say(done, line and f"{path}: {line}"),
        )

    def _note(self, done, line=None):
        """Counts what is done to an image."""
        self.done[done] += 1
        if line:
            self.lines.setdefault(done, line)

    def _look(self, size):
        """Returns the size and the number of channels, after a look at all images."""
        sizes: dict = {}
        broken, colour = [], False
        for path in self.paths:
            try:
                image = open_image(path)
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


def told_strays(folder, strays):
    """Yields the line on files of a folder that are not taken."""
    if strays:
        names = ", ".join(str(path.relative_to(folder)) for path in strays[:NAMED])
        more = len(strays) - NAMED
        yield (
            f"{folder}: {len(strays)} files are no image of a class and are left out: "
            f"{names}{f' and {more} more' if more > 0 else ''}"
        )


def warn_of_range(pixels, kept=None):
    """Returns a line on pixels that look scaled or inverted, or None.

    Args:
        pixels: Array `(N, H, W, C)`.
        kept: Mean of the training's pixels, or None.
    """
    pixels = np.asarray(pixels)
    if pixels.size and pixels.max() <= 1 and pixels.any():
        return "no pixel is above 1: models take raw pixels, 0 to 255, not x / 255"
    mean = float(pixels.mean()) if pixels.size else 0.0
    if kept is not None and abs(kept - 127.5) > 32:
        if abs(mean - (255 - kept)) < 16 and abs(mean - kept) > 64:
            return (
                f"the pixels have the mean {mean:.0f}, those of the training "
                f"{kept:.0f}: are they inverted, white for black?"
            )
    return None
