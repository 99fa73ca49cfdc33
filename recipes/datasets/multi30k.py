"""TFDS dataset `multi30k`: captions of pictures, in English and in German.

The raw files come from the authors' repository, or from the manual folder of the TFDS
data directory (`downloads/manual/train.de.gz`) where there is no network.
"""

import gzip

import tensorflow_datasets as tfds

DOWNLOADS = True

_DESCRIPTION = """
Multi30k, task 1: captions of the pictures of Flickr30k, each in English and in a German
translation by a professional. One example is one pair of sentences, raw text, in the
order of the files. The test split is that of 2016, test_2016_flickr.
"""
_CITATION = """
@inproceedings{elliott2016multi30k,
  title={Multi30K: Multilingual English-German Image Descriptions},
  author={Elliott, Desmond and Frank, Stella and Sima'an, Khalil and Specia, Lucia},
  booktitle={Proceedings of the 5th Workshop on Vision and Language},
  year={2016},
}
"""
_FOLDER = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
LANGUAGES = ("de", "en")
FILES = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
# File -> bytes and sha256.
CHECKSUMS = {
    "train.de.gz": (
        637044,
        "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    ),
    "train.en.gz": (
        568929,
        "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    ),
    "val.de.gz": (
        24681,
        "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    ),
    "val.en.gz": (
        21650,
        "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    ),
    "test_2016_flickr.de.gz": (
        22890,
        "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    ),
    "test_2016_flickr.en.gz": (
        21077,
        "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    ),
}


def url_of(file):
    """Returns where a file comes from."""
    return f"{_FOLDER}/{file}"


def read_lines(path):
    """Yields the lines of a gzip file without white space at their ends.

    Lines end at line feeds alone: what else Python takes for an end of line may stand
    inside a sentence.
    """
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.strip()


class Multi30k(tfds.core.GeneratorBasedBuilder):
    """Builder of `multi30k`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    # In the class: TFDS looks for a file of checksums under the package's own name.
    url_infos = {
        url_of(file): tfds.download.checksums.UrlInfo(
            size=size, checksum=sha256, filename=file
        )
        for file, (size, sha256) in CHECKSUMS.items()
    }

    @property
    def raw_files(self):
        """Names of the files that the dataset is made of."""
        return list(CHECKSUMS)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "de": tfds.features.Text(doc="The German sentence."),
                    "en": tfds.features.Text(doc="The English sentence."),
                }
            ),
            homepage="https://github.com/multi30k/dataset",
            license="Flickr terms, non-commercial research",
            citation=_CITATION,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        paths = dl_manager.download({file: url_of(file) for file in CHECKSUMS})
        return {
            split: self._generate_examples(
                *(paths[f"{name}.{language}.gz"] for language in LANGUAGES)
            )
            for split, name in FILES.items()
        }

    def _generate_examples(self, *paths):
        sides = (read_lines(path) for path in paths)
        for i, sentences in enumerate(zip(*sides, strict=True)):
            yield i, dict(zip(LANGUAGES, sentences, strict=True))
