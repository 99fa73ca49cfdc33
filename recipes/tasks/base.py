"""The base of a kind of task: `Task`, which is asked about it."""

import importlib
from typing import Any, NamedTuple

import keras

import attention_zoo
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.tasks.own_data import TrainsOnOwnData


class Table(NamedTuple):
    """A table of trained models: cards of equal tables share one."""

    columns: tuple
    caption: str = ""
    order: tuple = ()  # tables of one document stand in this order


class Task(TrainsOnOwnData):
    """One kind of task, as the command, the cards and the tables see it.

    A kind is a folder of `recipes/tasks/`. Its `task.py` holds a subclass and one
    instance of it, `TASK`; its `pipeline.py` holds a `Pipeline`; and its
    `card.md.jinja`, if there is one, extends the template of the model cards. Only
    what differs from the defaults is written down.

    Attributes:
        kind: The name of the kind, which is the folder's.
        facts: Dict from the names of the card's fields that only this kind has to
            their forms, see `attention_zoo.recipes.cards.schema`. They are attributes
            of the pipeline.
        needs: Names of the facts that the command cannot do without.
        later: Names of the facts that came with time: older cards lack them.
        data_settings: Names of the recipe's settings that decide on what a trained
            model is measured.
        lower_is_better: Whether a small measure is a good one.
        table: The table of README.md that lists the trained models, by its mark.
    """

    facts: dict[str, Any] = {}
    needs: tuple = ()
    later: tuple = ()
    data_settings: tuple = ("dataset", "test_split")
    lower_is_better = False
    table = "results"

    @property
    def kind(self):
        return self.package.rpartition(".")[2]

    @property
    def package(self):
        """The name of the package that holds the kind."""
        return type(self).__module__.rpartition(".")[0]

    def pipeline(self, recipe, data_dir=None, smoke=False):
        """Returns the `Pipeline` of a recipe, its data loaded.

        Args:
            recipe: The `Recipe`.
            data_dir: TFDS data directory, or None for TFDS's own choice.
            smoke: Whether to take a handful of generated examples instead.
        """
        module = importlib.import_module(f"{self.package}.pipeline")
        return module.Pipeline(recipe, data_dir=data_dir, smoke=smoke)

    # === Measures ===

    def measures(self, card):
        """Returns the names of the test metrics that count, the first one most."""
        return list(card["metrics"])

    def measure_name(self, key):
        """Returns the name of a metric for people."""
        return key.replace("_", " ")

    def measure_names(self, keys):
        """Returns the names of metrics for people."""
        return [self.measure_name(key) for key in keys]

    def twin_measure(self, card):
        """Returns the metric by which models with and without attention compare."""
        return self.measures(card)[0]

    def digits(self, key, card):
        """Returns the number of decimals of a metric."""
        return 4

    def value(self, row, key):
        """Returns the mean of a metric, or its only value, or None.

        Args:
            row: A card, or one of its baselines.
            key: Name of the metric.
        """
        return row.get(f"{key}_mean", row.get(key))

    def twin_figure(self, row, card):
        """Returns the `twin_measure` of the model or of its twin, as a text."""
        return self.figure(row, self.twin_measure(card), card)

    def figure(self, row, key, card, digits=None):
        """Returns `mean ± deviation` of a metric; nothing where it was not measured.

        Args:
            row: The card, or one of its baselines, or None.
            key: Name of the metric.
            card: The card.
            digits: Number of decimals. Defaults to the metric's own.
        """
        value = self.value(row or {}, key)
        if value is None:
            return ""
        digits = self.digits(key, card) if digits is None else digits
        spread = row.get(f"{key}_std")
        text = f"{value:.{digits}f}"
        return text if spread is None else f"{text} ± {spread:.{digits}f}"

    def winners(self, card, key):
        """Returns the names of the baselines that do better than the model."""
        own, sign = self.value(card, key), -1 if self.lower_is_better else 1
        rows = {name: self.value(row, key) for name, row in card["baselines"].items()}
        return [
            name
            for name, value in rows.items()
            if value is not None and sign * value > sign * own
        ]

    # === Tables of the documents ===

    def table_of(self, card):
        """Returns the `Table` that a card belongs to."""
        measure = f"test {self.measure_name(self.measures(card)[0])}"
        columns = ("recipe", "data", measure, "no attention", "plain baseline")
        return Table((*columns, "seeds", "parameters", "file"))

    def table_rows(self, card):
        """Returns the rows of a card in its table, lists of cells."""
        key, baselines = self.measures(card)[0], dict(card["baselines"])
        twin = baselines.pop("no_attention", None)
        pick = min if self.lower_is_better else max
        measured = [r for r in baselines.values() if self.value(r, key) is not None]
        plain = pick(measured, key=lambda row: self.value(row, key), default=None)
        scores = [self.figure(row, key, card) for row in (card, twin, plain)]
        seeds = str(len(card.get("seeds", [])) or 1)
        data = f"`{card['dataset']}`"
        return [[self.link(card), data, *scores, seeds, *self.size(card)]]

    def link(self, card):
        """Returns the cell that links to the model card."""
        name = card.get("name", card["recipe"])
        return f"[{name}](saved_models/{name}/README.md)"

    def size(self, card):
        """Returns the cells of the number of parameters and the size of the file."""
        return f"{card['parameters']:,}", f"{card['model_file_mb']} MB"

    # === The command ===

    def add_arguments(self, parser):
        """Adds the options of this kind to the parsers of `predict` and `explain`."""

    def read(self, entry, card, args, out=None):
        """Returns the inputs that the command line names, a batch for the model.

        Nothing is loaded before it, so that a wrong input is refused at once.

        Args:
            entry: The `Entry`.
            card: The checked card.
            args: The parsed arguments; `text` is a list of strings.
            out: Path of the picture that will be written, or None.
        """
        raise UserError(f"{entry.name}: models of the kind {self.kind} take no inputs")

    def predict(self, entry, card, args):
        """Prints the predictions for the inputs of the command line.

        Returns:
            The exit code: 0, or 2 where an input had no prediction.
        """
        inputs = self.read(entry, card, args)
        print(keras.ops.convert_to_numpy(self.load(entry, card)(inputs)))
        return 0

    def load(self, entry, card):
        """Returns the model of an entry, after a check that the card fits it.

        Raises:
            UserError: On another backend than TensorFlow, and where the model takes
                other inputs than those of the card.
        """
        need_tensorflow()
        model = entry.load()
        inputs = [
            (tuple(x.shape), keras.backend.standardize_dtype(x.dtype) == "string")
            for x in getattr(model, "inputs", None) or []
        ]
        expected = self.input_of(card)
        if expected is not None and inputs != [expected]:
            raise UserError(
                f"{entry.name}: the card is that of a model of the kind {self.kind}, "
                f"which takes {_form([expected])}, and the model takes "
                f"{_form(inputs) or 'no input'}"
            )
        self.check_output(entry, card, model)
        return model

    def input_of(self, card):
        """Returns the shape of the input by the card, and whether it is of strings.

        None stands for any input.
        """
        return None

    def check_output(self, entry, card, model):
        """Raises `UserError` where the outputs are not those of the card."""

    def names(self, card):
        """Returns the names of the outputs that `explain` shows, or None."""
        return card.get("classes")

    def explain(self, model, inputs, card, method="auto"):
        """Returns the `Explanation` of a batch."""
        names = self.names(card)
        return attention_zoo.explain(model, inputs, class_names=names, method=method)

    def tell(self, explanation, layer):
        """Prints what an `Explanation` says of a layer; None for its own method."""
        print(explanation.to_text(layer))


def _form(inputs):
    """Returns pairs of shape and whether there are strings, in words."""
    return " and ".join(
        f"{'strings' if strings else 'numbers'} of the shape {shape}"
        for shape, strings in inputs
    )


def need_tensorflow():
    """Raises `UserError` on another backend of Keras, which has no strings."""
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise UserError(
            f"this needs Keras on TensorFlow, and it runs on {backend}: set "
            "KERAS_BACKEND=tensorflow"
        )
