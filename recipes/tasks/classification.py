"""What text and image classifiers share: measures, checks, loss and score."""

import keras
import numpy as np

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.base import Task
from attention_zoo.recipes.tasks.pipeline import Pipeline


class ClassificationTask(Task):
    """Base of tasks whose models give the probabilities of classes."""

    facts = {"classes": [str]}

    def measures(self, card):
        return ["accuracy"]

    def check_output(self, entry, card, model):
        shape, names = model.outputs[0].shape, card.get("classes")
        count = 2 if shape[-1] == 1 else shape[-1]  # one sigmoid says both
        if len(shape) != 2 or (names and len(names) != count):
            told = f"{len(names)} classes" if names else "classes"
            raise UserError(
                f"{entry.name}: the card names {told}, the model has outputs of the "
                f"shape {tuple(shape)}"
            )

    def verdict(self, row, card):
        """Returns name and probability of the likeliest class, as a line says them."""
        best, names = int(row.argmax()), card.get("classes")
        name = names[best] if names else f"class {best}"
        return f"{name}\t{row[best]:.4f}"


class Classification(Pipeline):
    """Base of pipelines with one-hot labels, for models that give probabilities."""

    def loss(self):
        return keras.losses.CategoricalCrossentropy(
            label_smoothing=self.recipe.label_smoothing
        )

    def metrics(self):
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def score(self, logs):
        return (logs["val_accuracy"], -logs["val_loss"])


def scores_of(answers, labels):
    """Returns accuracy and macro F1, a dict.

    Args:
        answers: Integer array, the classes that were answered.
        labels: Integer array, the right ones.

    Returns:
        Dict of `accuracy` and `macro_f1`, the mean over the classes that occur of
        `2 * hits / (answers + labels)` of a class.
    """
    answers, labels = np.asarray(answers), np.asarray(labels)
    classes = np.union1d(answers, labels)
    hits = np.array([((answers == c) & (labels == c)).sum() for c in classes])
    counts = np.array([(answers == c).sum() + (labels == c).sum() for c in classes])
    return {
        "accuracy": float((answers == labels).mean()),
        "macro_f1": float((2 * hits / counts).mean()),
    }


def in_turn(labels, order, count):
    """Returns up to `count` numbers of examples, of each class in turn.

    Args:
        labels: Integer array, the class of each example.
        order: Integer array, the examples in the order in which they are taken.
        count: Integer.
    """
    labels = np.asarray(labels)
    rank = np.zeros(len(labels), "int64")  # which one of its class an example is
    for name in np.unique(labels):
        members = order[labels[order] == name]
        rank[members] = np.arange(len(members))
    return order[np.lexsort((labels[order], rank[order]))][:count]
