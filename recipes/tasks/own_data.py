"""What a kind of task says of own data, those that are not made for a recipe."""

from attention_zoo.recipes.core.errors import UserError


class TrainsOnOwnData:
    """The part of a `Task` that reads own data and suits a model to them.

    Attributes:
        models: Names of the models of the zoo that can be trained on own data.
        training_options: Names of the options of `train` that the kind takes, out of
            `start`, `freeze` and `class_weight`.
    """

    kind: str

    models: tuple = ()
    training_options: tuple = ()

    def add_data_arguments(self, parser):
        """Adds the options that say how own data of this kind are read.

        What several kinds take, such as `--data`, `--label` and `--target`, is there
        already.
        """

    def data_options(self, args):
        """Returns the dict of the options that decide what is read.

        Args:
            args: The parsed arguments, see `add_data_arguments`.
        """
        return {}

    def read_own(self, request):
        """Returns the `Records` of own data, or raises `UserError` in one line.

        Args:
            request: The `attention_zoo.recipes.datasets.own.Request`, whose `options`
                are `data_options`.
        """
        raise UserError(f"models of the kind {self.kind} cannot be trained on own data")

    def request_for(self, card, request):
        """Returns a `Request` as a trained model needs its data.

        Args:
            card: The card of the model.
            request: The `Request`.
        """
        return request

    def evaluate_own(self, entry, card, records):
        """Returns lines on how well a trained model does on own data.

        Args:
            entry: The `Entry`.
            card: Its card.
            records: The `Records`, with the right answers.
        """
        raise UserError(
            f"models of the kind {self.kind} are evaluated on their own test split: "
            "leave out --data"
        )

    def recipe_for(self, model, facts):
        """Returns the `Recipe` of a model on own data, with defaults that follow them.

        Name and data set are filled in by the caller.

        Args:
            model: Name of a model out of `models`.
            facts: What `Records.facts` returned of the training rows. May be empty,
                for the names and the types of the settings alone.
        """
        raise NotImplementedError

    def space(self, recipe, hp):
        """Returns the values that a tuner may try of a model on own data.

        Args:
            recipe: The `Recipe`, as `recipe_for` made it.
            hp: The `HyperParameters` of keras-tuner, or what stands for them.
        """
        rate = recipe.learning_rate
        values = {
            "learning_rate": hp.Float(
                "learning_rate", rate / 4, 4 * rate, sampling="log"
            )
        }
        for key in ("units", "width"):
            if key in recipe.config:
                size = recipe.config[key]
                values[key] = hp.Choice(key, [size // 2, size, 2 * size])
        if "dropout" in recipe.config:
            values["dropout"] = hp.Float("dropout", 0.0, 0.5, step=0.1)
        return values

    def adapted(self, recipe, facts):
        """Returns a recipe with the settings that own data ask for.

        Args:
            recipe: The `Recipe`, made for other data.
            facts: As in `recipe_for`.
        """
        return recipe
