import dataclasses

import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import get_recipe
from attention_zoo.recipes.tasks.text import pipeline as text
from attention_zoo.recipes.tasks.text import self_training
from attention_zoo.recipes.tasks.text.nb_svm import NaiveBayesLinear

RECIPE = dataclasses.replace(
    get_recipe("attention_lstm_imdb").replace(units=5, embedding_dim=7, batch_size=37),
    pipeline={
        "max_length": 800,
        "vocabulary_size": 500,
        "word_dropout": 0.1,
        "crop": 256,
        "spans": 0.25,
        "unlabelled": "unsupervised",
        "word_vectors": True,
        "self_training": True,
        "behaviour": True,
    },
)


def test_the_blend_is_the_mean_of_log_odds():
    first, second = np.array([[0.9, 0.1]]), np.array([[0.2, 0.8]])
    odds = (0.9 / 0.1) ** 0.25 * (0.2 / 0.8) ** 0.75
    expected = [[odds / (1 + odds), 1 / (1 + odds)]]
    np.testing.assert_allclose(
        self_training.blend(first, second, 0.25), expected, rtol=1e-5
    )
    assert np.isfinite(self_training.blend(np.eye(2), np.eye(2)[::-1], 0.5)).all()


@pytest.mark.slow
def test_the_unlabelled_texts_are_trained_on_with_the_labels_of_teachers():
    pipeline = text.Pipeline(RECIPE, smoke=True)
    texts, labels = pipeline.words("unlabelled")
    soft = pipeline._soft_labels
    assert soft.shape == (len(texts), 2)
    np.testing.assert_allclose(soft.sum(axis=-1), 1, rtol=1e-5)
    # The words of the test split are seen by nobody.
    known = {word for name in ("train", "unlabelled") for t in pipeline.words(name)[0]
             for word in t.split()}  # fmt: skip
    assert {*pipeline.vectorizer.get_vocabulary()[2:]} <= known
    batches = list(pipeline.batches("train", seed=0).as_numpy_iterator())
    count = 192 + 32
    assert sum(len(ids) for ids, _ in batches) == count + count // 4
    targets = np.concatenate([target for _, target in batches])
    assert (targets.max(axis=-1) == 1).sum() >= 192
    of_teachers = {row.tobytes() for row in soft}
    assert {row.tobytes() for row in targets} == {
        *of_teachers, *(row.tobytes() for row in np.eye(2, dtype="float32"))
    }  # fmt: skip


def test_self_training_needs_unlabelled_texts():
    with pytest.raises(UserError, match="unlabelled"):
        text.Pipeline(RECIPE.replace(unlabelled=None), smoke=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_linear_teacher_weighs_ngrams_by_naive_bayes(classes):
    words = ["bad", "good", "odd"][:classes]
    texts = [f"it is {words[i % classes]} film {i % 5}" for i in range(60)]
    labels = np.arange(60) % classes
    model = NaiveBayesLinear(ngrams=2).fit(texts, labels)
    given = model.probabilities([f"is {word}" for word in words])
    assert given.shape == (classes, classes)
    np.testing.assert_allclose(given.sum(axis=-1), 1, rtol=1e-5)
    assert given.argmax(axis=-1).tolist() == list(range(classes))
    assert model.features == len(model._vectorizer.vocabulary_)


def test_the_ratio_against_the_formula():
    texts, labels = ["a b", "a b", "b c", "b c", "b c"], np.array([1, 1, 0, 0, 0])
    model = NaiveBayesLinear(ngrams=1).fit(texts, labels)
    # Texts with the word, and one: positive a 3, b 3, c 1; negative a 1, b 4, c 4.
    expected = np.log(np.array([3, 3, 1]) / 7 / (np.array([1, 4, 4]) / 9))
    ratio, _ = model._models[0]
    np.testing.assert_allclose(ratio, expected, rtol=1e-6)


class Kept(dict):
    """Checkpoints in memory."""

    def load(self, name):
        return self.get(name)

    def save(self, name, facts, arrays):
        self[name] = facts, dict(arrays)


def test_what_takes_long_is_kept_with_the_checkpoints(monkeypatch):
    asked = []

    def label(pipeline, token_ids):
        asked.append(len(token_ids["unlabelled"]))
        return np.full((asked[0], 2), 0.5, "float32")

    monkeypatch.setattr(self_training, "label", label)
    kept, first, second = Kept(), *(text.Pipeline(RECIPE, smoke=True) for _ in "ab")
    first.prepare(kept)
    second.prepare(kept)
    assert asked == [len(first.splits["unlabelled"].texts)]
    np.testing.assert_array_equal(first._vectors, second._vectors)
    np.testing.assert_array_equal(first._soft_labels, second._soft_labels)
    other = Kept()
    text.Pipeline(get_recipe("attention_lstm_reviews"), smoke=True).prepare(other)
    assert not other


def test_log_loss_by_hand():
    given = np.array([[0.25, 0.75], [0.5, 0.5]])
    expected = -(np.log(0.75) + np.log(0.5)) / 2
    assert self_training.log_loss(given, np.array([1, 0])) == pytest.approx(expected)


def test_typography_changes_nothing_in_the_model_that_people_load():
    import keras

    import attention_zoo

    pipeline = text.Pipeline(RECIPE, smoke=True)
    core = attention_zoo.create(
        "attention_lstm", **RECIPE.config | pipeline.model_config()
    )
    model = pipeline.servable(core)
    texts = ["The film wasn't “good”.<br /><br />Not funny - at all",
             "the film wasn’t \"good\". not funny — at all"]  # fmt: skip
    first, second = np.asarray(model(keras.ops.convert_to_tensor(texts)))
    np.testing.assert_allclose(first, second, atol=1e-6)
    report = pipeline.report(model)["behaviour"]
    assert 0 < report["all"]["passed"] < report["all"]["cases"]
