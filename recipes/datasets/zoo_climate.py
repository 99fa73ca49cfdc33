"""TFDS dataset `zoo_climate`: weekly carbon dioxide at Mauna Loa, embedded."""

import csv
import importlib.resources

import numpy as np
import tensorflow_datasets as tfds

_DESCRIPTION = """
Weekly mean of atmospheric carbon dioxide at Mauna Loa, Hawaii, March 1958 to December
2001, in parts per million: the data set `co2` of statsmodels, embedded, no download.
One example is one week, in order. Weeks without a measurement are NaN.
"""
_CITATION = """
@misc{keeling2004co2,
  title={Atmospheric CO2 concentrations (ppmv) derived from in situ air samples
    collected at Mauna Loa Observatory, Hawaii},
  author={Keeling, C. D. and Whorf, T. P.},
  year={2004},
}
"""
VARIATES = ("co2",)


def weeks():
    """Yields date and value of each week, NaN where there is none."""
    file = importlib.resources.files("statsmodels.datasets.co2") / "co2.csv"
    with file.open("r", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            day, value = row["date"], row["co2"]
            date = f"{day[:4]}-{day[4:6]}-{day[6:8]} 00:00:00"
            yield date, np.float32(value or "nan")


class ZooClimate(tfds.core.GeneratorBasedBuilder):
    """Builder of `zoo_climate`: 70 % of the weeks to train on, 10 %, and 20 %."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    ENDS = {"train": 1599, "validation": 1827, "test": 2284}

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "date": tfds.features.Text(doc="The week's Saturday."),
                    "co2": tfds.features.Scalar(np.float32, doc="Parts per million."),
                }
            ),
            homepage="https://www.statsmodels.org/stable/datasets/generated/co2.html",
            license="public domain",
            citation=_CITATION,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        starts = [0, *self.ENDS.values()]
        return {
            split: self._generate_examples(range(start, end))
            for (split, end), start in zip(self.ENDS.items(), starts, strict=False)
        }

    def _generate_examples(self, rows):
        for i, (date, value) in enumerate(weeks()):
            if i in rows:
                yield i, {"date": date, "co2": value}
