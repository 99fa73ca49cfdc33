"""Image classification: raw pixels in, probabilities of classes out."""

import dataclasses
import sys

import numpy as np

from attention_zoo.interpret.calls import class_probabilities
from attention_zoo.interpret.images import MOST_DRAWN
from attention_zoo.recipes.core.errors import UserError, one_line
from attention_zoo.recipes.tasks.classification import ClassificationTask
from attention_zoo.recipes.tasks.images import reader
from attention_zoo.recipes.tasks.images.files import (
    FITS,
    convert,
    is_inverted,
    open_image,
    read_image,
)

FILES_AT_ONCE = 64  # to predict together


class ImagesTask(ClassificationTask):
    """Classes of images, which the command reads from files."""

    facts = {"classes": [str], "image_shape": (int, int, int), "background": int}
    needs = ("image_shape",)
    later = ("background",)
    models = ("attention_convnet", "cbam_resnet", "vision_transformer")

    # === Own data ===

    def add_data_arguments(self, parser):
        reader.add_arguments(parser)

    def data_options(self, args):
        return reader.options(args)

    def read_own(self, request):
        return reader.read(request)

    def recipe_for(self, model, facts):
        return reader.recipe_for(model, facts)

    def adapted(self, recipe, facts):
        return reader.adapted(recipe, facts)

    def request_for(self, card, request):
        fit = card.get("settings", {}).get("fit")
        more = {"image_size": card["image_shape"][:2], "pad": fit == "pad"}
        return dataclasses.replace(request, options=request.options | more)

    def outputs_of(self, model, card, records):
        shape, outputs = card["image_shape"], []
        fit = card.get("settings", {}).get("fit") or "resize"
        for start in range(0, len(records.parts), FILES_AT_ONCE):
            rows = range(start, min(start + FILES_AT_ONCE, len(records.parts)))
            files = [open_image(records.place(i)) for i in rows]
            pixels = [convert(file, shape, fit, lambda *_: None) for file in files]
            outputs.append(model(np.stack(pixels), training=False))
        return class_probabilities(np.concatenate(outputs))

    # === The command ===

    def add_arguments(self, parser):
        parser.add_argument(
            "--resize",
            action="store_true",
            help="scale images to the size that the model takes",
        )
        parser.add_argument(
            "--invert",
            action="store_true",
            help="turn light into dark, for dark things on white and a model of "
            "light things on black",
        )

    def fit_of(self, args, card):
        """Returns how images of another size are made to fit, or None.

        A model of own data makes them fit as its training did.
        """
        fit = card.get("settings", {}).get("fit")
        return "resize" if args.resize else fit if fit in FITS else None

    def read(self, entry, card, args, out=None):
        self._check_count(entry, args.text)
        pixels = np.stack([self._read(file, card, args) for file in args.text])
        self._tell_inverted(sum(self._inverted(x, card) for x in pixels), len(pixels))
        if out is not None:
            self._check_picture(out, args.text)
        return pixels

    def _read(self, file, card, args):
        pixels = read_image(file, card["image_shape"], self.fit_of(args, card))
        return 255 - pixels if args.invert else pixels

    def _inverted(self, pixels, card):
        return is_inverted(pixels, card.get("background"))

    def _tell_inverted(self, count, total):
        """Says on stderr how many images look like negatives of the training's."""
        if count:
            print(
                f"{count} of {total} images have light and dark the other way round "
                "than those of the training: --invert turns them",
                file=sys.stderr,
            )

    def _check_picture(self, out, files):
        """Raises `UserError` where the picture would replace one of the images."""
        if out.exists() and any(out.samefile(file) for file in files):
            raise UserError(
                f"{out} is one of the images: give the picture another --out"
            )
        if len(files) > MOST_DRAWN:
            print(
                f"{out} shows the first {MOST_DRAWN} of {len(files)} images",
                file=sys.stderr,
            )

    def _check_count(self, entry, files):
        if not files:
            raise UserError(f"{entry.name} takes image files, received none")

    def input_of(self, card):
        return (None, *card["image_shape"]), False

    def predict(self, entry, card, args):
        """Prints class, probability and file name of each image that can be read."""
        self._check_count(entry, args.text)
        model, code, inverted, total = None, 0, 0, 0
        for start in range(0, len(args.text), FILES_AT_ONCE):
            read, pixels = [], []
            for file in args.text[start : start + FILES_AT_ONCE]:
                try:
                    pixels.append(self._read(file, card, args))
                    read.append(file)
                except UserError as error:
                    print(f"attention-zoo: error: {one_line(error)}", file=sys.stderr)
                    code = 2
            if not read:
                continue
            inverted += sum(self._inverted(x, card) for x in pixels)
            total += len(read)
            model = model or self.load(entry, card)
            outputs = model(np.stack(pixels), training=False)
            for file, row in zip(read, class_probabilities(outputs), strict=True):
                name = "".join(c if c.isprintable() else "?" for c in str(file))
                print(f"{self.verdict(row, card)}\t{name}")
            sys.stdout.flush()
        self._tell_inverted(inverted, total)
        return code


TASK = ImagesTask()
