"""What text and image classifiers share: measures, checks, loss and score."""

import functools

import keras
import numpy as np

from attention_zoo.pretrained import find
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks import (
    class_report,
    class_weights,
    many_labels,
    starting,
)
from attention_zoo.recipes.tasks.base import Task
from attention_zoo.recipes.tasks.pipeline import Pipeline


class ClassificationTask(Task):
    """Base of tasks whose models give the probabilities of classes."""

    facts = {"classes": [str]}
    training_options = ("start", "freeze", "class_weight")

    def measures(self, card):
        if card.get("multi_label"):
            return ["macro_f1", "micro_f1", "subset_accuracy"]
        return ["accuracy"]

    def measure_name(self, key):
        return key.replace("_", " ").replace("f1", "F1")

    def check_output(self, entry, card, model):
        shape, names = model.outputs[0].shape, card.get("classes")
        count = 2 if shape[-1] == 1 else shape[-1]  # one sigmoid says both
        if len(shape) != 2 or (names and len(names) != count):
            told = f"{len(names)} classes" if names else "classes"
            raise UserError(
                f"{entry.name}: the card names {told}, the model has outputs of the "
                f"shape {tuple(shape)}"
            )

    def outputs_of(self, model, card, records):
        """Returns the probabilities `(N, C)` of all rows of `Records`."""
        raise NotImplementedError

    def evaluate_own(self, entry, card, records):
        names = card.get("classes")
        if names is None:
            raise UserError(f"{entry.name}: its card does not name the classes")
        several = bool(card.get("multi_label"))
        if several != (records.tags is not None):
            told = ("several labels", "one label")[:: 1 if several else -1]
            raise UserError(
                f"{entry.name} gives each input {told[0]}, and the data have {told[1]}"
            )
        labels = numbers_of(records, names)
        outputs = self.outputs_of(self.load(entry, card), card, records)
        right = many_labels.hot(labels, len(names))
        if several:
            answers = outputs > many_labels.THRESHOLD
            scores = many_labels.scores_of(answers, right)
        else:
            best = outputs.argmax(axis=-1)
            answers = many_labels.hot(best[:, None], len(names))
            scores = scores_of(best, right.argmax(axis=-1))
        lines = [f"{self.measure_name(k)}  {value:.4f}" for k, value in scores.items()]
        by_class = class_report.by_class(answers, right)
        lines += ["", *class_report.table_lines(by_class, names)]
        if not several:
            count = len(names)
            matrix = class_report.confusion(best, right.argmax(axis=-1), count)
            lines += ["", *class_report.confusion_lines(matrix, names)]
        return lines

    def verdict(self, row, card):
        """Returns name and probability of the likeliest class, as a line says them.

        Where there may be several labels, those above 0.5 are named; or, where there
        is none, the probability of the likeliest.
        """
        if card.get("multi_label"):
            given = many_labels.names_above(row, card["classes"])
            values = [p for p in row if p > many_labels.THRESHOLD] or [row.max()]
            told = ", ".join(f"{p:.4f}" for p in values)
            return f"{', '.join(given) or 'no label'}\t{told}"
        best, names = int(row.argmax()), card.get("classes")
        name = names[best] if names else f"class {best}"
        return f"{name}\t{row[best]:.4f}"


class Classification(Pipeline):
    """Base of pipelines with one-hot labels, for models that give probabilities.

    Attributes:
        classes: List of the names of the classes.
        multi_label: Whether an example may have several labels, or none.
    """

    classes: list
    multi_label = False

    @functools.cached_property
    def start(self):
        """The trained model that training starts from, or None."""
        name = self.options.get("start")
        return find(name).load() if name else None

    def initialise(self, model):
        """Gives a fresh model the weights of the one that training starts from."""
        if self.start is not None:
            kept = starting.copy_weights(starting.core_of(self.start), model)
            print(f"from {self.options['start']}: {', '.join(kept)}", flush=True)

    def callbacks(self, model):
        epochs = self.options.get("freeze")
        if self.start is None or not epochs:
            return []
        pairs = starting.shared_layers(starting.core_of(self.start), model)
        return [starting.Freeze([own for _, own in pairs], epochs)]

    def loss(self):
        smoothing = self.recipe.label_smoothing
        if self.options.get("class_weight"):
            labels = self.raw("train")[1]
            if self.multi_label:
                present, absent = class_weights.balanced_labels(labels)
                return class_weights.many_labels(present, absent, smoothing)
            weights = class_weights.balanced(labels, len(self.classes))
            return class_weights.one_class(weights, smoothing)
        if self.multi_label:
            return keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
        return keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)

    def metrics(self):
        if self.multi_label:
            return many_labels.metrics()
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def score(self, logs):
        if self.multi_label:
            return many_labels.score(logs)
        return (logs["val_accuracy"], -logs["val_loss"])

    def scores(self, outputs, labels):
        """Returns the scores of probabilities `(N, C)`, a dict.

        Args:
            outputs: The probabilities.
            labels: The right labels, integers `(N,)`, or 0 and 1 `(N, C)` where an
                example may have several.
        """
        if self.multi_label:
            return many_labels.scores_of(outputs > many_labels.THRESHOLD, labels)
        return scores_of(outputs.argmax(-1), labels)


def numbers_of(records, names):
    """Returns the numbers of the labels of each row, a list of lists.

    Raises:
        UserError: For a label that is none of the names, with its place.
    """
    numbers = {name: i for i, name in enumerate(names)}
    rows = records.tags or [(label,) for label in records.labels]
    for i, row in enumerate(rows):
        for label in row:
            if label not in numbers:
                raise UserError(
                    f"{records.place(i)}: the label '{label}' is none of the model's: "
                    f"{', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
                )
    return [[numbers[label] for label in row] for row in rows]


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
