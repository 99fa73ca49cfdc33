"""TFDS dataset `zoo_dates`: dates as people write them, generated, no download."""

import datetime
import random

import babel
import tensorflow_datasets as tfds
from babel import dates

_DESCRIPTION = """
Dates as people write them in 22 locales, by Babel and so by Unicode's CLDR, and the
same dates in ISO 8601. Only forms with the whole year, from which the date can be told
without knowing the locale. No date of the training split occurs in another split. The
split `unseen_locale` is Portuguese, which occurs in no other. The texts are the same on
every machine with the same version of Babel.
"""
LOCALES = (
    "cs", "da", "de", "el", "en_GB", "en_US", "es", "fi", "fr", "hu", "it", "ja", "ko",
    "nl", "pl", "ro", "ru", "sk", "sv", "tr", "uk", "vi",
)  # fmt: skip
UNSEEN_LOCALE = "pt"
STYLES = ("full", "long", "medium", "short")
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)


def forms_of(locale):
    """Returns the patterns of a locale that have the whole year, each once."""
    formats = babel.Locale.parse(locale).date_formats
    patterns = [formats[style].pattern for style in STYLES]
    return [p for p in dict.fromkeys(patterns) if "yy" not in p]


def generate(split, counts, seed=0):
    """Yields the examples of a split: each date in one locale and one of its forms.

    Args:
        split: A key of `counts`.
        counts: Dict of split to its number of examples. They share no date.
        seed: Integer; other seeds give other dates.
    """
    span = range(FIRST.toordinal(), LAST.toordinal() + 1)
    days = iter(random.Random(seed).sample(span, sum(counts.values())))
    own = {name: [next(days) for _ in range(n)] for name, n in counts.items()}
    locales = (UNSEEN_LOCALE,) if split == "unseen_locale" else LOCALES
    generator = random.Random(f"{seed} {split}")
    for number in own[split]:
        day = datetime.date.fromordinal(number)
        locale = generator.choice(locales)
        form = generator.choice(forms_of(locale))
        text = dates.format_date(day, form, locale)
        yield {"text": text, "iso": day.isoformat(), "locale": locale}


class ZooDates(tfds.core.GeneratorBasedBuilder):
    """Builder of `zoo_dates`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    COUNTS = {"train": 20000, "validation": 1000, "test": 2000, "unseen_locale": 1000}

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(
                {
                    "text": tfds.features.Text(doc="The date as people write it."),
                    "iso": tfds.features.Text(doc="The date, `YYYY-MM-DD`."),
                    "locale": tfds.features.Text(doc="Babel's name of the locale."),
                }
            ),
            homepage="https://cldr.unicode.org",
            license="Unicode License v3",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        return {split: self._generate_examples(split) for split in self.COUNTS}

    def _generate_examples(self, split):
        yield from enumerate(generate(split, self.COUNTS))
