"""TFDS dataset `ett`: two years of two electricity transformers, hourly and 15 minutes.

The raw files come from the authors' repository, or from the manual folder of the TFDS
data directory (`downloads/manual/ETTh1.csv`) where there is no network.
"""

import csv

import numpy as np
import tensorflow_datasets as tfds

DOWNLOADS = True

_DESCRIPTION = """
Electricity Transformer Temperature: six power loads and the oil temperature (OT) of two
transformers in China, July 2016 to June 2018, hourly (h1, h2) and every 15 minutes (m1,
m2). One example is one time step, in order. The splits are the usual 12, 4 and 4 months
of 30 days; the rest of the files belongs to none of them.
"""
_CITATION = """
@inproceedings{zhou2021informer,
  title={Informer: Beyond Efficient Transformer for Long Sequence Time-Series
    Forecasting},
  author={Zhou, Haoyi and Zhang, Shanghang and Peng, Jieqi and Zhang, Shuai and
    Li, Jianxin and Xiong, Hui and Zhang, Wancai},
  booktitle={AAAI},
  year={2021},
}
"""
_FOLDER = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small"
VARIATES = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
MONTHS = {"train": 12, "validation": 4, "test": 4}
# Config -> bytes and sha256 of its file.
CHECKSUMS = {
    "h1": (
        2589657,
        "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    ),
    "h2": (
        2417960,
        "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
    ),
    "m1": (
        10360719,
        "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e",
    ),
    "m2": (
        9677236,
        "db973ca252c6410a30d0469b13d696cf919648d0f3fd588c60f03fdbdbadd1fd",
    ),
}


def url_of(config):
    """Returns where the file of a config comes from."""
    return f"{_FOLDER}/ETT{config}.csv"


def split_rows(steps_per_hour):
    """Returns the range of rows of each split, in the order of time."""
    ranges, start = {}, 0
    for split, months in MONTHS.items():
        end = start + months * 30 * 24 * steps_per_hour
        ranges[split] = range(start, end)
        start = end
    return ranges


class Ett(tfds.core.GeneratorBasedBuilder):
    """Builder of `ett/h1`, `ett/h2`, `ett/m1` and `ett/m2`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(
            name=config,
            description=f"Transformer {config[1]}, "
            f"{'hourly' if config[0] == 'h' else 'every 15 minutes'}.",
        )
        for config in CHECKSUMS
    ]
    # In the class: TFDS looks for a file of checksums under the package's own name.
    url_infos = {
        url_of(config): tfds.download.checksums.UrlInfo(
            size=size, checksum=sha256, filename=f"ETT{config}.csv"
        )
        for config, (size, sha256) in CHECKSUMS.items()
    }

    @property
    def raw_files(self):
        """Names of the files that this config is made of."""
        return [f"ETT{self.builder_config.name}.csv"]

    def _info(self):
        columns = {
            name: tfds.features.Scalar(np.float32, doc=f"Column {name} of the file.")
            for name in VARIATES
        }
        date = tfds.features.Text(doc="Time stamp, `YYYY-MM-DD hh:mm:ss`.")
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict({"date": date, **columns}),
            homepage="https://github.com/zhouhaoyi/ETDataset",
            license="CC BY-ND 4.0",
            citation=_CITATION,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        path = dl_manager.download(url_of(self.builder_config.name))
        steps_per_hour = 1 if self.builder_config.name.startswith("h") else 4
        return {
            split: self._generate_examples(path, rows)
            for split, rows in split_rows(steps_per_hour).items()
        }

    def _generate_examples(self, path, rows):
        with path.open("r") as file:
            for i, row in enumerate(csv.DictReader(file)):
                if i in rows:
                    values = {name: np.float32(row[name]) for name in VARIATES}
                    yield i, {"date": row["date"], **values}
