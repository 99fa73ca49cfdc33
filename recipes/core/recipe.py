"""What a recipe is, how recipes are found, and `--set key=value`."""

import ast
import dataclasses
import importlib
import inspect
import math
import pkgutil
import types

import attention_zoo.layers
from attention_zoo.recipes.core.errors import UserError, unknown
from attention_zoo.recipes.tasks import TASKS

# Fields that are not settings.
FIXED = (
    "name",
    "model",
    "kind",
    "expected",
    "config",
    "pipeline",
    "synthetic",
    "about",
    "show_examples",
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, apart from the seed.

    Args:
        name: The recipe's name, which is its file's name.
        model: Name of the model in the zoo.
        dataset: Name of the TFDS dataset.
        kind: Kind of task, a folder of `attention_zoo.recipes.tasks`.
        expected: Dict of the test metrics that the recipe promises.
        config: Dict of the model's arguments.
        pipeline: Dict of the pipeline's own values, e.g. `max_length`.
        train_split: TFDS split that is trained on.
        validation_split: TFDS split that picks the epoch.
        test_split: TFDS split that is measured once, at the end.
        batch_size: Number of examples of a training step.
        epochs: Number of passes over the training split.
        learning_rate: Peak of the cosine schedule.
        warmup: Share of all steps in which the rate climbs to its peak.
        weight_decay: Decoupled weight decay of AdamW.
        clip_norm: Largest global norm of the gradients; 0 switches it off.
        label_smoothing: Share of the target spread over all classes.
        ema: Momentum of the averaged weights; 0 switches averaging off.
        synthetic: Whether the data are generated, which the card then says.
        about: What is known of a variant; of a file's `RECIPE` the docstring says it.
        show_examples: Whether examples of the data may be in pictures.
    """

    name: str
    model: str
    dataset: str
    kind: str
    expected: dict
    config: dict
    pipeline: dict
    train_split: str = "train[:90%]"
    validation_split: str = "train[90%:]"
    test_split: str = "test"
    batch_size: int = 64
    epochs: int = 8
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    label_smoothing: float = 0.0
    ema: float = 0.0
    synthetic: bool = False
    about: str = ""
    show_examples: bool = True

    def __post_init__(self):
        for key in ("batch_size", "epochs", "learning_rate"):
            if getattr(self, key) <= 0:
                raise UserError(
                    f"{key} must be positive, received {getattr(self, key)}"
                )
        for key in ("weight_decay", "clip_norm"):
            if getattr(self, key) < 0:
                raise UserError(
                    f"{key} must not be negative, received {getattr(self, key)}"
                )
        for key in ("warmup", "label_smoothing", "ema"):
            if not 0 <= getattr(self, key) < 1:
                raise UserError(
                    f"{key} must be at least 0 and below 1, "
                    f"received {getattr(self, key)}"
                )

    @property
    def task(self):
        """The `Task` of the recipe's kind."""
        return TASKS[self.kind]

    def settings(self):
        """Returns the dict of all values that `--set` may change."""
        own = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in FIXED
        }
        return {**own, **self.config, **self.pipeline}

    def replace(self, **values):
        """Returns a copy with values changed, each where it belongs."""
        own, config, pipeline = {}, dict(self.config), dict(self.pipeline)
        for key, value in values.items():
            home = next((d for d in (config, pipeline) if key in d), own)
            home[key] = value
        return dataclasses.replace(self, config=config, pipeline=pipeline, **own)

    def with_settings(self, assignments):
        """Returns a copy with `key=value` strings applied.

        Args:
            assignments: List of strings as given to `--set`.
        """
        known, changes = self.settings(), {}
        for assignment in assignments:
            key, equals, text = assignment.partition("=")
            key = key.strip()
            if not equals:
                raise UserError(f"--set takes key=value, received '{assignment}'")
            if key not in known:
                raise unknown("--set key", key, known)
            changes[key] = parse_value(key, text.strip(), known[key])
        return self.replace(**changes) if changes else self


def parse_value(key, text, current):
    """Returns `text` as a value of the type that `current` has.

    Args:
        key: The setting. `attention` takes a name of the factory or `none`,
            `quantiles` a tuple of floats or `none`.
        text: The value as given to `--set`.
        current: The value that it replaces.
    """
    wanted = type(current)
    if key == "attention":
        return parse_attention(text)
    if key == "quantiles":
        if text.lower() == "none":
            return None
        wanted, current = tuple, (0.1, 0.5, 0.9)
    if wanted is str and text:
        return text
    try:
        value = ast.literal_eval(text.capitalize() if wanted is bool else text)
        if wanted is float and type(value) is int:
            value = float(value)
    except (ValueError, SyntaxError, OverflowError, RecursionError, MemoryError):
        value = None
    if type(value) is not wanted or (wanted is float and not math.isfinite(value)):
        raise UserError(
            f"--set {key} takes a value of type {wanted.__name__} "
            f"(now {current}), received '{text}'"
        )
    return value


def parse_attention(text):
    """Returns the name of an attention, or None for the model without attention."""
    if text.lower() == "none":
        return None
    known = attention_zoo.layers.list_attentions()
    if text not in known:
        raise unknown("attention", text, [*known, "none"])
    return text


def list_recipes():
    """Returns the sorted names of all recipes on disk."""
    return sorted(_files_by_recipe())


def recipe_module(name) -> types.ModuleType:
    """Returns the module that holds a recipe, with its `space`."""
    found = _files_by_recipe()
    if name not in found:
        raise unknown("recipe", name, found)
    return found[name]


def get_recipe(name):
    """Returns the `Recipe` of a name."""
    return next(r for r in _recipes_in(recipe_module(name)) if r.name == name)


def describe(name):
    """Returns the text on a recipe: what it is, what it costs, what was measured."""
    return get_recipe(name).about or inspect.getdoc(recipe_module(name)) or ""


def _files_by_recipe():
    """Returns `{name: module}`; a file holds a `RECIPE` and maybe `VARIANTS` of it."""
    package = importlib.import_module("attention_zoo.recipes")  # is loaded by now
    modules = (
        importlib.import_module(f"attention_zoo.recipes.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_") and not module.ispkg
    )
    return {recipe.name: m for m in modules for recipe in _recipes_in(m)}


def _recipes_in(module):
    return [module.RECIPE, *getattr(module, "VARIANTS", ())]


def load_pipeline(recipe, data_dir=None, smoke=False):
    """Returns the pipeline of a recipe, its data loaded."""
    return recipe.task.pipeline(recipe, data_dir=data_dir, smoke=smoke)
