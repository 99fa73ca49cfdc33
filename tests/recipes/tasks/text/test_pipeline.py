"""The text pipeline: every example once an epoch, no word of the test split learned."""

import collections

import keras
import numpy as np
import pytest

from attention_zoo.recipes.core import recipe as _recipe
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.datasets import _grammar
from attention_zoo.recipes.engine import trainer as _run
from attention_zoo.recipes.tasks.classification import scores_of
from attention_zoo.recipes.tasks.text import baselines as _baselines
from attention_zoo.recipes.tasks.text import pipeline as text

RECIPE = _recipe.get_recipe("attention_lstm_reviews").replace(batch_size=13)


@pytest.fixture(scope="module")
def pipeline():
    return text.Pipeline(RECIPE, smoke=True)


@pytest.fixture(scope="module")
def core(pipeline):
    keras.utils.set_random_seed(3)
    return _run.build(RECIPE.replace(units=5, embedding_dim=7), pipeline)


def rows_of(batches):
    """Returns the multiset of `(token ids without padding, label)` in batches."""
    return collections.Counter(
        (tuple(row[row != 0].tolist()), int(label.argmax()))
        for ids, labels in batches.as_numpy_iterator()
        for row, label in zip(ids, labels, strict=True)
    )


@pytest.mark.parametrize("count", [1, 12, 13, 14, 26, 100])
@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_batches_hold_every_example_once(count, seed):
    rng = None if seed is None else np.random.default_rng(seed)
    lengths = np.random.default_rng(count).integers(1, 300, count)
    batches = text.by_length(lengths, 13, rng)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert len(batches) == -(-count // 13)
    assert sum(len(batch) != 13 for batch in batches) <= 1
    if count == 100:  # texts of like length share a batch
        assert np.mean([np.ptp(lengths[batch]) for batch in batches]) < 60


def test_an_epoch_is_the_training_split(pipeline):
    reviews = list(_grammar.generate("train", 192, seed=0))
    vocabulary = {
        word: i for i, word in enumerate(pipeline.vectorizer.get_vocabulary())
    }
    expected = collections.Counter()
    for review in reviews:
        words = review["text"].lower().replace(",", "").replace(".", "").split()
        expected[tuple(vocabulary[word] for word in words), review["label"]] += 1
    batches = pipeline.batches("train", seed=0)
    assert len(batches) == 15
    first, second = (list(b for b, _ in batches.as_numpy_iterator()) for _ in range(2))
    assert rows_of(batches) == expected
    assert {len(ids) for ids in first} <= {13, 192 % 13}
    assert any(a.shape != b.shape or (a != b).any()
               for a, b in zip(first, second, strict=True))  # fmt: skip
    again = [b for b, _ in pipeline.batches("train", seed=0).as_numpy_iterator()]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_the_vocabulary_comes_from_the_training_split(pipeline):
    reviews = _grammar.generate("train", 192, seed=0)
    words = {w.strip(".,").lower() for r in reviews for w in r["text"].split()}
    assert {*pipeline.vectorizer.get_vocabulary()} == {"", "[UNK]", *words}


def test_words_are_dropped_anew_in_training_alone(pipeline):
    dropping = RECIPE.replace(word_dropout=0.3)
    pipeline = text.Pipeline(dropping, smoke=True)
    shares = []
    for _ in range(2):
        ids = [b for b, _ in pipeline.batches("train", seed=1).as_numpy_iterator()]
        words = np.concatenate([b[b != 0] for b in ids])
        shares.append((words == text.OUT_OF_VOCABULARY).mean())
    assert 0.25 < shares[0] < 0.35
    held_out = pipeline.batches("validation")
    assert rows_of(held_out) == rows_of(text.Pipeline(RECIPE, smoke=True).batches(
        "validation"))  # fmt: skip


def test_predictions_come_back_in_order(pipeline, core):
    texts, labels = pipeline.raw("test")
    model = pipeline.servable(core)
    rows = text.predict(model, texts)
    for i in (0, 1, 63):
        alone = model(keras.ops.convert_to_tensor([texts[i]]), training=False)
        np.testing.assert_allclose(rows[i], alone[0], atol=1e-6)
    scores = scores_of(rows.argmax(-1), labels)
    assert scores["accuracy"] == float((rows.argmax(-1) == labels).mean())
    assert pipeline.evaluate(model, "test") == scores
    assert pipeline.evaluate(core, "test") == scores
    picked = np.linspace(0, len(texts) - 1, 7).astype(int)
    sampled = scores_of(rows[picked].argmax(-1), labels[picked])
    assert pipeline.evaluate(model, "test", sample=7) == sampled


def test_the_servable_reads_what_training_read(pipeline, core):
    """Strings through the model give what their token ids give through its core."""
    cut = text.Pipeline(RECIPE.replace(max_length=11), smoke=True)
    ids = text.pad(cut._ids["test"])
    assert (ids != 0).sum(axis=-1).max() == 11
    expected = np.asarray(core(ids, training=False))
    outputs = text.predict(cut.servable(core), cut.raw("test")[0])
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_attention_on_the_marked_words(pipeline, core):
    report = pipeline.attention_report(pipeline.servable(core), count=29, hidden=3)
    reviews = list(_grammar.generate("test", 29, seed=2))
    shares = [np.mean(review["marks"]) for review in reviews]
    assert report["uniform_mass"] == pytest.approx(np.mean(shares))
    layer = core.get_layer("attention")
    states = keras.Model(core.input, core.get_layer("lstm").output)
    ids = text.pad(pipeline._ids["test"][:29])
    _, weights = layer(states(ids), mask=ids != 0, return_attention_scores=True)
    marks = text.pad([np.array(review["marks"]) for review in reviews])
    mass = (np.asarray(weights) * marks).sum(axis=-1).mean()
    assert report["marked_mass"] == pytest.approx(mass, abs=1e-6)
    assert report["marked_texts"] == 29
    assert report["rank_correlation_texts"] == 3
    assert -1 <= report["rank_correlation"] <= 1


def test_examples_of_both_classes(pipeline):
    texts, labels = pipeline.examples(4)
    assert labels.tolist() == [0, 1, 0, 1]
    known = {r["text"]: r["label"] for r in _grammar.generate("test", 64, seed=2)}
    assert [known[t] for t in texts] == labels.tolist()


@pytest.mark.parametrize("baseline", [_baselines.bag_of_words, _baselines.tfidf])
def test_baselines_learn_what_words_tell(baseline):
    def part(n):
        texts = [f"word{i % 5} {'good' if i % 2 else 'bad'} film" for i in range(n)]
        return texts, [i % 2 for i in range(n)]

    learned = baseline(part(40), part(20), part(31))
    assert learned["accuracy"] == learned["validation_accuracy"] == 1
    assert learned["features"] >= 8
    texts, labels = part(31)
    turned = baseline(part(40), part(20), (texts, [1 - label for label in labels]))
    assert turned["accuracy"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_length": 0}, "max_length must be positive, received 0"),
        ({"vocabulary_size": 2}, "vocabulary_size must be at least 3"),
        ({"word_dropout": 1.0}, "word_dropout must be at least 0 and below 1"),
    ],
)
def test_bad_values(change, message):
    with pytest.raises(UserError, match=message):
        text.Pipeline(RECIPE.replace(**change), smoke=True)


def test_a_model_that_cannot_be_built(pipeline):
    with pytest.raises(UserError, match="model attention_lstm: .*units"):
        _run.build(RECIPE.replace(units=-3), pipeline)
