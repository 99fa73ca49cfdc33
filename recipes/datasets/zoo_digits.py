"""TFDS dataset `zoo_digits`: scikit-learn's handwritten digits, embedded."""

import numpy as np
import tensorflow_datasets as tfds

_DESCRIPTION = """
Handwritten digits, 8 x 8 pixels in 17 shades of grey, scaled to 0 to 255: the data set
`load_digits` of scikit-learn, embedded, no download. White on black, in the order of
the source.
"""
_CITATION = """
@misc{alpaydin1998digits,
  title={Optical Recognition of Handwritten Digits},
  author={Alpaydin, E. and Kaynak, C.},
  year={1998},
  doi={10.24432/C50P49},
}
"""
TRAIN = 1437  # images, four fifths; the rest is the test split


class ZooDigits(tfds.core.GeneratorBasedBuilder):
    """Builder of `zoo_digits`: 1,437 images to train on and 360 to test."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://archive.ics.uci.edu/dataset/80",
            license="CC BY 4.0",
            citation=_CITATION,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        return {
            "train": self._generate_examples(slice(TRAIN)),
            "test": self._generate_examples(slice(TRAIN, None)),
        }

    def _generate_examples(self, rows):
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.rint(digits.images[rows] * (255 / 16)).astype("uint8")
        for i, (image, label) in enumerate(
            zip(images, digits.target[rows], strict=True)
        ):
            yield i, {"image": image[..., None], "label": int(label)}
