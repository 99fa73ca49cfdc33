"""What the pipelines of classifiers share: loss, metric and score."""

import keras

from attention_zoo.recipes.core.recipe import Recipe


class Classification:
    """Base of pipelines whose labels are one-hot and whose outputs are probabilities.

    Attributes:
        recipe: The `Recipe`.
    """

    recipe: Recipe

    def loss(self):
        """Returns the loss for one-hot labels."""
        return keras.losses.CategoricalCrossentropy(
            label_smoothing=self.recipe.label_smoothing
        )

    def metrics(self):
        """Returns the metrics that training shows."""
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]

    def score(self, logs):
        """Returns what picks the epoch and the seed, from one epoch's logs."""
        return (logs["val_accuracy"], -logs["val_loss"])
