"""What classifiers share: class weights, reports by class, a trained model to start."""

import dataclasses
import math
import types

import keras
import numpy as np
import pytest

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.recipe import get_recipe
from attention_zoo.recipes.engine import trainer
from attention_zoo.recipes.tasks import class_report, class_weights, classification
from attention_zoo.recipes.tasks.starting import core_of
from attention_zoo.recipes.tasks.text.pipeline import Pipeline

RECIPE = get_recipe("attention_lstm_reviews")

# === Class weights ===


def test_weights_are_inverse_to_frequency():
    weights = class_weights.balanced(np.array([0, 0, 0, 1]), 3)
    assert weights.tolist() == pytest.approx([4 / 9, 4 / 3, 4 / 3])
    present, absent = class_weights.balanced_labels(np.array([[1, 0]] * 3 + [[0, 0]]))
    assert present.tolist() == pytest.approx([4 / 6, 4 / 2])
    assert absent.tolist() == pytest.approx([4 / 2, 4 / 8])


def test_the_weighted_crossentropy():
    loss = class_weights.one_class(np.array([0.5, 2.0], "float32"))
    right = np.eye(2, dtype="float32")
    found = loss(right, np.array([[0.8, 0.2], [0.7, 0.3]], "float32"))
    expected = [-0.5 * math.log(0.8), -2 * math.log(0.3)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_weighted_binary_crossentropy():
    sides = np.array([3.0, 1.0], "float32"), np.array([0.5, 2.0], "float32")
    loss = class_weights.many_labels(*sides, smoothing=0.2)
    found = loss(np.array([[1.0, 0.0]], "float32"), np.array([[0.8, 0.3]], "float32"))
    first = -3 * (0.9 * math.log(0.8) + 0.1 * math.log(0.2))
    second = -2 * (0.1 * math.log(0.3) + 0.9 * math.log(0.7))
    np.testing.assert_allclose(found, [(first + second) / 2], rtol=1e-5)


# === Reports ===


def test_a_report_by_class():
    answers, labels = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    eye = np.eye(3)
    rows = class_report.by_class(eye[answers], eye[labels])
    assert rows[0] == (1 / 2, 1 / 2, 1 / 2, 2)
    assert rows[1] == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert math.isnan(rows[2][0])
    lines = [*class_report.table_lines(rows, ["a", "bad", "c"])]
    assert lines[1].split() == ["a", "0.5000", "0.5000", "0.5000", "2"]
    assert lines[3].split() == ["c", "-", "-", "-", "0"]


def test_a_confusion_matrix():
    matrix = class_report.confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    assert matrix.tolist() == [[1, 1], [0, 1]]
    assert [*class_report.confusion_lines(matrix, ["a", "bb"])][1:] == [
        "    a  bb", "a   1   1", "bb  0   1",
    ]  # fmt: skip
    many = np.diag(np.arange(20)) + 0
    many[3, 5] = 7
    names = [f"c{i}" for i in range(20)]
    assert [*class_report.confusion_lines(many, names)][1:] == ["c3 answered as c5  7"]


def test_a_label_that_the_model_does_not_know():
    records = types.SimpleNamespace(
        labels=["b", "d"], tags=None, place=lambda i: f"a.csv, row {i + 1}"
    )
    with pytest.raises(UserError, match="a.csv, row 2: the label 'd' is none of the"):
        classification.numbers_of(records, ["a", "b"])
    assert classification.numbers_of(records, ["d", "b"]) == [[1], [0]]


# === A start from a trained model ===


def fitted(epochs, **more):
    """Returns pipeline and run of a training on 192 reviews, as a smoke run has."""
    changed = dataclasses.replace(RECIPE, pipeline=RECIPE.pipeline | more)
    recipe = changed.replace(batch_size=32, epochs=epochs)
    pipeline = Pipeline(recipe, smoke=True)
    run = trainer.fit(recipe, pipeline, seed=0, label="model")
    return pipeline, trainer.build(recipe, pipeline, run)


def test_a_start_beats_from_scratch():
    """192 reviews teach nothing from scratch; a trained model needs only a new head."""
    scores = []
    for more in ({}, {"start": RECIPE.name, "freeze": 1}):
        pipeline, model = fitted(2, **more)
        scores.append(pipeline.evaluate(model, "test")["accuracy"])
    assert scores[0] < 0.8
    assert scores[1] > 0.9
    trained = core_of(pipeline.start).get_layer("lstm").get_weights()[0]
    assert (model.get_layer("lstm").get_weights()[0] != trained).any()  # thawed


def test_frozen_layers_stay():
    pipeline, model = fitted(1, start=RECIPE.name, freeze=1)
    trained = core_of(pipeline.start)
    for layer in ("embedding", "lstm"):
        pairs = zip(
            trained.get_layer(layer).get_weights(),
            model.get_layer(layer).get_weights(),
            strict=True,
        )
        assert all((a == b).all() for a, b in pairs)
    assert pipeline.vectorizer.get_vocabulary() == (
        pipeline.start.get_layer("words").get_vocabulary()
    )
    keras.utils.set_random_seed(0)
    fresh = trainer.build(pipeline.recipe, pipeline).get_layer("head").get_weights()[0]
    assert (fresh != model.get_layer("head").get_weights()[0]).all()
