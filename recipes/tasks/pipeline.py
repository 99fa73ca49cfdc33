"""The base of a kind's pipeline: the data for training, and what measures a model."""

import keras


class Pipeline:
    """The data of a recipe in the form that training needs, and what measures a model.

    Args:
        recipe: The `Recipe`.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        smoke: Whether to take a handful of generated examples instead of the data.

    Attributes:
        dataset: Name and version of the data, for the card.
        shows_attention: Whether the model has attention to draw.
        COMPARES_METHODS: Whether the faithfulness of methods of explanation is
            measured.
        JIT_COMPILE: Whether XLA compiles the training unless the user says.
        source: What is known of own data, a dict for the card; None of others.
    """

    dataset: str
    shows_attention = True
    COMPARES_METHODS = True
    JIT_COMPILE = False  # on a CPU it took longer than it saved for all kinds
    source: dict | None = None

    def __init__(self, recipe, data_dir=None, smoke=False):
        self.recipe = recipe
        self.options = recipe.pipeline

    @property
    def output_names(self):
        """Names of the classes, or of what else the outputs are; None for none."""
        return getattr(self, "classes", None)

    def raw(self, split):
        """Returns raw inputs and targets of `"train"`, `"validation"` or `"test"`."""
        raise NotImplementedError

    def examples(self, count):
        """Returns raw test inputs and their targets, for a picture."""
        inputs, targets = self.raw("test")
        return inputs[:count], targets[:count]

    def prepare(self, kept):
        """Does what all runs need, before the first of them.

        Args:
            kept: The `Checkpoints`, for what takes long.
        """

    def model_config(self):
        """Returns the arguments of the model that only the data decide."""
        return {}

    def initialise(self, model):
        """Changes a fresh model before it is trained."""

    def callbacks(self, model):
        """Returns the callbacks of Keras that the training of a model needs."""
        return []

    def batches(self, split, seed=None, first_pass=0):
        """Returns a `tf.data` dataset of batches.

        Args:
            split: `"train"` or `"validation"`.
            seed: Integer for training: it and the number of the pass decide what a
                pass draws. None for evaluation.
            first_pass: Number of the first pass, for a training that goes on.
        """
        raise NotImplementedError

    def loss(self):
        """Returns the loss that the core is compiled with."""
        raise NotImplementedError

    def metrics(self):
        """Returns the metrics that the core is compiled with."""
        return []

    def score(self, logs):
        """Returns what picks the epoch and the seed, from one epoch's logs.

        The greatest tuple wins.
        """
        return (-logs["val_loss"],)

    def servable(self, core):
        """Returns the model that people load, from raw inputs to outputs."""
        return keras.Model(core.input, core.output, name=self.recipe.name)

    def evaluate(self, model, split, sample=None):
        """Returns the metrics of a model on a split, a dict.

        Args:
            model: The core model, or the one that people load.
            split: `"validation"` or `"test"`.
            sample: Number of examples, spread evenly over the split. Defaults to all.
        """
        raise NotImplementedError

    def baselines(self):
        """Returns functions without arguments, by name, that give test metrics."""
        return {}

    def attention_report(self, servable):
        """Returns what is known about the attention weights, a dict for the card."""
        return {}

    def report(self, servable):
        """Returns what else is measured on the model that people load, for the card."""
        return {}

    def draw(self, folder, runs, twins):
        """Draws pictures of its own into a folder.

        Args:
            folder: Path of the entry.
            runs: List of `Run`s of the model.
            twins: List of `Run`s of the model without attention.
        """
