"""The generated reviews: labels, marks and splits, read again by other means."""

import hashlib
import re

import numpy as np
import pytest

from attention_zoo.recipes.datasets import _grammar
from attention_zoo.recipes.datasets import loading as _data
from attention_zoo.recipes.tasks.text import baselines as _baselines

POSITIVE, NEGATIVE = {*_grammar.POSITIVE}, {*_grammar.NEGATIVE}
NEGATORS = {
    "not", "never", "hardly", "scarcely", "anything but", "far from", "by no means",
    "in no way", "not at all", "nowhere near",
}  # fmt: skip
OPENINGS = [
    "all in all", "my verdict is that", "for me", "in my eyes",
    "having slept on it i say", "if you ask me", "my own feeling is that",
    "when the lights came up i knew", "i for one thought", "in my own book",
]  # fmt: skip
# An opening, a subject, a verb, perhaps an adverb, an adjective.
VERDICT = re.compile(
    rf"\b(?:{'|'.join(OPENINGS)}) "
    r"(?:it|th(?:is|e) (?:one|film|movie|picture|story|whole thing)) "
    r"(?:is|was|seemed|felt|looked|proved) "
    rf"(?P<adverb>[a-z ]*?) ?\b(?P<adjective>{'|'.join(POSITIVE | NEGATIVE)})\b"
)
# Of the reviews read here: other texts need another version of the builder.
SHA256 = {
    "1.0.0": "47e82ecad4955788982d2e468c1088d4f56ebd87525001c42d498d0d072d6290",
}


@pytest.fixture(scope="module")
def reviews():
    return {part: list(_grammar.generate(part, 1500)) for part in ("train", "test")}


def read(text):
    """Returns the label of a review and the indices of the words that decide it."""
    text = text.lower()
    (verdict,) = VERDICT.finditer(text)
    adverb, adjective = verdict["adverb"], verdict["adjective"]
    negated = adverb in NEGATORS
    spans = [verdict.span("adjective")]
    if negated:
        spans.append(verdict.span("adverb"))
    deciding = set()
    for start, end in spans:
        first = len(text[:start].split())
        deciding |= set(range(first, first + len(text[start:end].split())))
    return int((adjective in POSITIVE) != negated), deciding


def test_labels_and_marks_agree_with_another_reading(reviews):
    negated = 0
    for review in [*reviews["train"], *reviews["test"]]:
        words, marks = review["text"].split(), review["marks"]
        assert len(words) == len(marks)
        label, deciding = read(review["text"])
        assert review["label"] == label, review["text"]
        assert {i for i, mark in enumerate(marks) if mark} == deciding, review["text"]
        negated += len(deciding) > 1
    assert 0.25 < negated / 3000 < 0.4
    share = np.mean([review["label"] for review in reviews["train"]])
    assert 0.45 < share < 0.55


def test_the_marked_words_decide_and_no_others_do(reviews):
    rng = np.random.default_rng(7)
    opposite = dict(zip(_grammar.POSITIVE, _grammar.NEGATIVE, strict=True))
    opposite |= {bad: good for good, bad in opposite.items()}
    flipped = 0
    for review in reviews["test"]:
        words, label = review["text"].split(), review["label"]
        marked = [i for i, mark in enumerate(review["marks"]) if mark]
        adjective, negator = marked[-1], marked[:-1]
        if negator:
            bare = [word for i, word in enumerate(words) if i not in negator]
        else:
            bare = [*words[:adjective], str(rng.choice([*NEGATORS])), words[adjective]]
            bare += words[adjective + 1 :]
            if words[adjective - 1] in ("means", "way", "than", "really", "truly",
                                        "quite", "simply", "rather"):  # fmt: skip
                continue  # an adverb and a negator at once: outside the grammar
        assert read(" ".join(bare))[0] == 1 - label, review["text"]
        others = [
            re.sub(r"[a-z]+", lambda m: opposite.get(m[0], m[0]), word)
            if i not in marked
            else word
            for i, word in enumerate(words)
        ]
        assert read(" ".join(others))[0] == label, review["text"]
        flipped += 1
    assert flipped > 500


def test_no_sentence_of_the_training_split_is_in_the_test_split(reviews):
    sentences = {
        part: {s for r in rows for s in r["text"].rstrip(".").split(". ")}
        for part, rows in reviews.items()
    }
    assert len(sentences["test"]) > 1000
    assert not sentences["train"] & sentences["test"]


def test_counting_words_fails(reviews):
    parts = [
        ([review["text"] for review in rows], [review["label"] for review in rows])
        for rows in (reviews["train"], reviews["test"][:500], reviews["test"][500:])
    ]
    assert _baselines.bag_of_words(*parts)["accuracy"] < 0.65
    assert _baselines.tfidf(*parts)["accuracy"] < 0.7


def test_the_same_reviews_everywhere(reviews):
    assert list(_grammar.generate("test", 13)) == reviews["test"][:13]
    assert list(_grammar.generate("test", 13, seed=1)) != reviews["test"][:13]
    from attention_zoo.recipes.datasets.zoo_reviews import ZooReviews

    digest = hashlib.sha256()
    for review in [*reviews["train"], *reviews["test"]]:
        digest.update(f"{review['text']} {review['label']}\n".encode())
    assert digest.hexdigest() == SHA256[str(ZooReviews.VERSION)]


def test_the_tfds_builder(tmp_path, monkeypatch):
    from attention_zoo.recipes.datasets.zoo_reviews import ZooReviews

    monkeypatch.setattr(ZooReviews, "COUNTS", {"train": 23, "test": 11})
    builder = _data.tfds_builder("zoo_reviews", str(tmp_path))
    assert builder.info.full_name == "zoo_reviews/1.0.0"
    assert _data.class_names(builder, "text", "label") == ["negative", "positive"]
    columns = _data.read_split(builder, "test")
    expected = list(_grammar.generate("test", 11))
    assert [t.decode() for t in columns["text"]] == [r["text"] for r in expected]
    assert [int(label) for label in columns["label"]] == [r["label"] for r in expected]
    assert [m.tolist() for m in columns["marks"]] == [r["marks"] for r in expected]
    assert len(_data.read_split(builder, "train[:10]")["text"]) == 10
