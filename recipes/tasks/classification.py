"""What text and image classifiers share: measures, checks, loss and score."""

import keras

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.base import Pipeline, Task


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
