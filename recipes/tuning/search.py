"""One search: its space, its trials and the tuner that runs them."""

import dataclasses
import functools
import math
import pathlib
import threading
import time
from typing import Any

from keras_tuner import HyperParameters
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.hyperparameters import Fixed
from keras_tuner.errors import FailedTrialError

from attention_zoo.recipes.core import files as _files
from attention_zoo.recipes.engine import trainer as _run
from attention_zoo.recipes.tuning import oracle as _tune_oracle
from attention_zoo.recipes.core.errors import UserError, one_line, unknown
from attention_zoo.recipes.core.recipe import Recipe, load_pipeline, recipe_module

PARAMETERS = ("Boolean", "Choice", "Fixed", "Float", "Int")
BEAT_SECONDS = 10  # between two signs of life of a worker


@dataclasses.dataclass
class Search:
    """What decides the trials of a search, and where it writes.

    Args:
        recipe: The `Recipe`, `--set` applied, with `max_epochs` as its epochs.
        pinned: Tuple of the settings that `--set` took out of the space.
        tuner: `"random"`, `"hyperband"` or `"bayesian"`.
        trials: Integer, how many trials to run.
        seed: Integer, of the search and of every trial.
        smoke: Whether trials train on a handful of generated examples.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        folder: Path of the search's folder.
    """

    recipe: Recipe
    pinned: tuple
    tuner: str
    trials: int
    seed: int
    smoke: bool
    data_dir: str | None
    folder: pathlib.Path

    @property
    def state(self):
        """The folder with what `--resume` needs."""
        return self.folder / "state"

    def declare(self, hp):
        """Asks `hp` for a value of each free parameter and returns the settings."""
        settings = self.recipe.settings()
        pinned = {key: settings[key] for key in self.pinned}
        space = recipe_module(self.recipe.name).space
        chosen = {k: v for k, v in space(Pinned(hp, pinned)).items() if k not in pinned}
        for key, value in chosen.items():
            if key not in settings:
                raise unknown(
                    f"setting in the space of {self.recipe.name}", key, settings
                )
            if key == "attention" and value == "none":
                chosen[key] = None
        return chosen

    def defaults(self):
        """Returns the recipe's own values of the parameters."""
        hp = HyperParameters()
        for key, value in self.recipe.settings().items():
            if key == "attention" and value is None:
                value = "none"
            if isinstance(value, (bool, int, float, str)):
                hp.values[key] = value
        self.declare(hp)
        active = [p.name for p in hp.space if hp.is_active(p)]
        return {name: hp.values[name] for name in active}

    def settings_of(self, number, values):
        """Returns the settings of a trial that the search decides.

        Args:
            number: Integer, the trial; trial 0 keeps the recipe's own settings.
            values: Dict of the trial's hyperparameters.
        """
        values = _tune_oracle.rounded(values)
        hp = HyperParameters()
        hp.values = {k: v for k, v in values.items() if not k.startswith("tuner/")}
        chosen = self.declare(hp)
        if number == 0:
            own = self.recipe.settings()
            chosen = {key: own[key] for key in chosen}
        longest = int(values.get("tuner/epochs", self.recipe.epochs))
        return {**chosen, "epochs": min(chosen.get("epochs", longest), longest)}

    def fingerprint(self, space):
        """Returns what a resumed search must have in common with the first one.

        Args:
            space: The `HyperParameters` of the whole space.
        """
        from attention_zoo import __version__

        settings = {k: _plain(v) for k, v in self.recipe.settings().items()}
        return {
            "attention_zoo": __version__,
            "recipe": self.recipe.name,
            "tuner": self.tuner,
            "seed": self.seed,
            "smoke": self.smoke,
            "settings": settings,
            "set": list(self.pinned),
            "space": space.get_config()["space"],
        }


def _plain(value):
    return list(map(_plain, value)) if isinstance(value, tuple) else value


class Pinned:
    """A tuner's `hp` in which settings given by `--set` are no longer free.

    Args:
        hp: keras-tuner's `HyperParameters`.
        values: Dict from the settings to their values.
    """

    def __init__(self, hp, values):
        self._hp = hp
        self._values = values

    def __getattr__(self, name):
        found = getattr(self._hp, name)
        if name not in PARAMETERS:
            return found

        @functools.wraps(found)
        def parameter(key, *arguments, **options):
            if key not in self._values:
                return found(key, *arguments, **options)
            value = self._values[key]
            if not isinstance(value, (bool, int, float, str)):
                return value
            return self._hp.Fixed(key, value)

        return parameter


def free_parameters(space):
    """Returns the parameters of a space that have more than one value."""
    return [p for p in space.space if not isinstance(p, Fixed)]


class Data:
    """The pipeline of a search, loaded anew only when an option of it changes.

    Args:
        search: The `Search`.
    """

    def __init__(self, search):
        self._search = search
        self._key = ""
        self.pipeline: Any = None

    def of(self, recipe):
        """Returns the pipeline for a trial's recipe."""
        key = [recipe.dataset, recipe.train_split, recipe.validation_split]
        key += [recipe.kind, sorted(recipe.pipeline.items())]
        if recipe.pipeline.get("word_vectors"):
            key.append(recipe.config.get("embedding_dim"))
        if self._key != repr(key):
            self.pipeline = None  # make room first
            search = self._search
            self.pipeline = load_pipeline(recipe, search.data_dir, search.smoke)
            self._key = repr(key)
        self.pipeline.recipe = recipe
        return self.pipeline


class Tuner(BaseTuner):
    """Runs trials by `_run.fit`, in this process, on training and validation data.

    Args:
        search: The `Search`.
        on_end: Function without arguments that is called when a trial has ended.
    """

    def __init__(self, search, on_end=None):
        self.job = search
        self.data = Data(search)
        self._on_end = on_end
        self._busy = True
        oracle = _tune_oracle.make_oracle(
            search.tuner,
            search.defaults(),
            search.state / "oracle.json",
            search.trials,
            search.recipe.epochs,
            search.seed,
        )
        super().__init__(oracle, hypermodel=search.declare, directory=search.folder)
        self.space = oracle.get_space()
        check_space(search, self.space)

    def pre_create_trial(self):
        if not self._busy:
            time.sleep(0.5)  # the oracle waits for the trials of others
        self._busy = False

    def on_trial_begin(self, trial):
        self._busy = True

    def run_trial(self, trial):
        """Trains one model and returns its best epoch's figures."""
        number, values = int(trial.trial_id), trial.hyperparameters.values
        result = {"worker": self.tuner_id}
        try:
            with beating(self.oracle, trial.trial_id):
                result |= self.measure(number, values)
        except Exception as error:  # whatever it is, the search goes on
            result |= {"status": "failed", "error": one_line(error)}
        self.write_result(number, result)
        if result["status"] != "completed":
            raise FailedTrialError(result["error"])
        return {key: result[key] for key in ("score", "epochs", "seconds")}

    def measure(self, number, values):
        """Returns status, score and cost of a training."""
        start = time.monotonic()
        settings = self.job.settings_of(number, values)
        recipe = self.job.recipe.replace(**settings)
        pipeline = self.data.of(recipe)
        run = _run.fit(recipe, pipeline, self.job.seed, f"trial {number}")
        best = run.history[run.epoch - 1]
        result = {"epochs": recipe.epochs, "best_epoch": run.epoch}
        result["seconds"] = round(time.monotonic() - start, 1)
        wrong = [f"{key} {v}" for key, v in best.items() if not math.isfinite(v)]
        if wrong:
            error = f"diverged: {', '.join(wrong)}"
            return {**result, "status": "diverged", "error": error}
        score = float(run.score[0])
        metric = metric_name(score, best)
        return {**result, "status": "completed", "score": score, "metric": metric}

    def write_result(self, number, result):
        _files.write_json(self.job.state / f"trial_{number}.json", result)

    def on_trial_end(self, trial):
        self.oracle.end_trial(trial)
        if self._on_end is not None and not self.oracle.failure:
            self._on_end()

    def save(self):
        """Writes nothing: the oracle writes the state."""

    def _get_tuner_fname(self):
        """Returns no file: the state is read when `--resume` asks for it."""
        return ""


def metric_name(score, logs):
    """Returns which validation metric a score is, with a minus where it is turned."""
    for key, value in logs.items():
        if key.startswith("val_") and abs(value) == abs(score):
            return key if value == score else f"-{key}"
    return "score"


class beating:
    """Tells the chief again and again that a trial is being run.

    Args:
        oracle: The oracle, or in a worker the client of the chief's.
        trial_id: The trial.
    """

    def __init__(self, oracle, trial_id):
        self._distant = not isinstance(oracle, _tune_oracle.Guarded)
        self._oracle, self._trial_id = oracle, trial_id
        self._over = threading.Event()

    def __enter__(self):
        if self._distant:
            threading.Thread(target=self._beat, daemon=True).start()

    def __exit__(self, *error):
        self._over.set()

    def _beat(self):
        while not self._over.wait(BEAT_SECONDS):
            try:
                self._oracle.get_trial(self._trial_id)
            except Exception:  # the search itself will notice
                return


def check_space(search, space):
    """Raises `UserError` for a space without a free parameter."""
    if not free_parameters(space):
        raise UserError(
            f"--set leaves nothing to tune in {search.recipe.name}"
            if search.pinned
            else f"the space of {search.recipe.name} is empty"
        )
