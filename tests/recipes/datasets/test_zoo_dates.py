"""The generated dates: read again by other means, splits, the held-out locale."""

import collections
import datetime
import hashlib
import re

import babel
import pytest

from attention_zoo.recipes.datasets import loading as _data
from attention_zoo.recipes.datasets import zoo_dates

COUNTS = {"train": 3000, "validation": 300, "test": 500, "unseen_locale": 200}
# Of the texts made here, by the version of Babel, whose CLDR decides.
SHA256 = {
    "2.18.0": "55c8ec77d65fc860ea406754bf90142a8271c2f60c8705aeda05046c70aa58ab",
}
# The beginnings of month names, from January on.
MONTHS = {
    "en_US": "jan feb mar apr may jun jul aug sep oct nov dec",
    "de": "jan feb mär apr mai jun jul aug sep okt nov dez",
    "es": "ene feb mar abr may jun jul ago sept oct nov dic",
    "it": "gen feb mar apr mag giu lug ago set ott nov dic",
    "pt": "jan fev mar abr mai jun jul ago set out nov dez",
    "ru": "янв фев мар апр мая июн июл авг сент окт ноя дек",
    "uk": "січ лют бер кві тра чер лип серп вер жов лис гру",
    "el": "ιαν φεβ μαρ απρ μαΐ ιουν ιουλ αυγ σεπ οκτ νοε δεκ",
    "tr": "oca şub mar nis may haz tem ağu eyl eki kas ara",
}


@pytest.fixture(scope="module")
def examples():
    return {split: list(zoo_dates.generate(split, COUNTS)) for split in COUNTS}


def numbers_of(text):
    return [int(number) for number in re.findall(r"\d+", text)]


def read(example):
    """Returns the date that a text says, or None where this reader knows no more."""
    numbers = numbers_of(example["text"])
    if len(numbers) == 3:  # year, month, day, or the other way round; or Vietnamese
        day_first = numbers[-1] > 31
        return datetime.date(*(reversed(numbers) if day_first else numbers))
    names = MONTHS.get(example["locale"])
    if names is None:
        return None
    words = re.findall(r"[^\W\d]+", example["text"].lower())
    months = {
        n
        for n, name in enumerate(names.split(), start=1)
        for word in words
        if word.startswith(name) and word not in ("martes", "martedì", "marți")
    }
    (month,) = months
    day, year = sorted(numbers)
    return datetime.date(year, month, day)


def test_the_texts_say_the_dates(examples):
    checked = collections.Counter()
    for rows in examples.values():
        for example in rows:
            date = read(example)
            if date is not None:
                assert date.isoformat() == example["iso"], example
                checked[example["locale"]] += 1
    assert len(checked) == 23  # numbers alone are read in all locales
    assert sum(checked.values()) > 2000


def test_every_text_says_one_date(examples):
    dates = collections.defaultdict(set)
    for example in (e for rows in examples.values() for e in rows):
        dates[example["text"]].add(example["iso"])
        assert str(int(example["iso"][:4])) in example["text"]
    assert all(len(found) == 1 for found in dates.values())
    for locale in (*zoo_dates.LOCALES, zoo_dates.UNSEEN_LOCALE):
        assert len(zoo_dates.forms_of(locale)) >= 2, locale


def test_the_splits_share_no_date(examples):
    assert {split: len(rows) for split, rows in examples.items()} == COUNTS
    dates = [e["iso"] for rows in examples.values() for e in rows]
    assert len(set(dates)) == len(dates)
    locales = {split: {e["locale"] for e in rows} for split, rows in examples.items()}
    assert locales.pop("unseen_locale") == {"pt"}
    for found in locales.values():
        assert found == set(zoo_dates.LOCALES)


def test_the_same_dates_everywhere(examples):
    version = babel.__version__
    if version not in SHA256:
        pytest.skip(f"Babel {version} may write dates in other forms")
    digest = hashlib.sha256()
    for example in (e for rows in examples.values() for e in rows):
        digest.update(f"{example['text']} {example['iso']}\n".encode())
    assert digest.hexdigest() == SHA256[version]
    again = next(zoo_dates.generate("train", COUNTS, seed=1))
    assert again != examples["train"][0]


def test_the_tfds_builder(tmp_path, monkeypatch):
    counts = {"train": 7, "validation": 2, "test": 3, "unseen_locale": 5}
    monkeypatch.setattr(zoo_dates.ZooDates, "COUNTS", counts)
    builder = _data.tfds_builder("zoo_dates", str(tmp_path))
    assert builder.info.full_name == "zoo_dates/1.0.0"
    expected = list(zoo_dates.generate("test", counts))
    columns = _data.read_split(builder, "test")
    for key in ("text", "iso", "locale"):
        assert [v.decode() for v in columns[key]] == [e[key] for e in expected]
    assert len(_data.read_split(builder, "unseen_locale")["text"]) == 5
