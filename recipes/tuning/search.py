"""One search: its space, and its trials on the disk.

`state/search.json` holds everything, and is replaced as a whole by whoever has the lock
beside it. A process holds a lock on the trial that it runs: the system drops it when
the process dies, and the trial goes to the next one that asks.
"""

import contextlib
import dataclasses
import fcntl
import json
import pathlib

from keras_tuner import HyperParameters

import attention_zoo
from attention_zoo.recipes.core import files
from attention_zoo.recipes.core.errors import UserError, differences, unknown
from attention_zoo.recipes.core.recipe import Recipe, recipe_module
from attention_zoo.recipes.tuning import engines

ATTEMPTS = 2  # of a trial whose process dies
SCALARS = (bool, int, float, str)


@dataclasses.dataclass
class Trial:
    """One trial.

    Args:
        number: Integer; 0 is the recipe's defaults.
        values: Dict of its hyperparameters.
        status: `"running"`, `"completed"`, `"pruned"`, `"diverged"` or `"failed"`.
        settings: Dict of the settings that it changes.
        score: The validation score of its best epoch, or None.
        metric: Name of the score.
        scores: List of the scores of all epochs.
        epochs: How many epochs it trained.
        seconds: How long it took.
        error: Why it failed.
        workers: Names of the processes that have begun it, the last one ended it.
        attempts: How many processes have begun it.
    """

    number: int
    values: dict
    status: str = "running"
    settings: dict = dataclasses.field(default_factory=dict)
    score: float | None = None
    metric: str = "score"
    scores: list = dataclasses.field(default_factory=list)
    epochs: int | None = None
    seconds: float | None = None
    error: str = ""
    workers: list = dataclasses.field(default_factory=list)
    attempts: int = 1


@dataclasses.dataclass
class Search:
    """What decides the trials of a search, and where it writes.

    Args:
        recipe: The `Recipe`, `--set` applied, with `max_epochs` as its epochs.
        pinned: Tuple of the settings that `--set` took out of the space.
        tuner: `"random"`, `"hyperband"`, `"bayesian"` or `"optuna"`.
        wanted: Integer, how many trials to run.
        seed: Integer, of the search and of every trial.
        smoke: Whether trials train on a handful of generated examples.
        data_dir: TFDS data directory, or None for TFDS's own choice.
        folder: Path of the search's folder.
        named: String, the recipe or the model that the command names. Defaults to the
            recipe's own name.
        words: Tuple of the options that give own data. Defaults to none.
    """

    recipe: Recipe
    pinned: tuple
    tuner: str
    wanted: int
    seed: int
    smoke: bool
    data_dir: str | None
    folder: pathlib.Path
    named: str = ""
    words: tuple = ()

    @property
    def training(self):
        """The words of the command that trains what is tuned."""
        return ["train", self.named or self.recipe.name, *self.words]

    @property
    def state(self):
        """The folder with what `--resume` needs."""
        return self.folder / "state"

    # === The space ===

    def parameters(self):
        """Returns `HyperParameters` in which the pinned settings are fixed."""
        hp, settings = HyperParameters(), self.recipe.settings()
        for key in self.pinned:
            value = _named(key, settings[key])
            if isinstance(value, SCALARS):
                hp.Fixed(key, value)
        return hp

    def declare(self, hp):
        """Asks `hp` for a value of each free parameter and returns the settings."""
        known, chosen = self.recipe.settings(), {}
        for key, value in self._space(hp).items():
            if key not in known:
                raise unknown(f"setting in the space of {self.recipe.name}", key, known)
            if key not in self.pinned:
                absent = key == "attention" and value == "none"
                chosen[key] = None if absent else value
        return chosen

    def _space(self, hp):
        """Returns the values to try: those of the recipe's file, or of the model."""
        named = self.named or self.recipe.name
        if named in self.recipe.task.models:
            return self.recipe.task.space(self.recipe, hp)
        return recipe_module(named).space(hp)

    def defaults(self):
        """Returns the recipe's own values of the parameters."""
        hp = self.parameters()
        for key, value in self.recipe.settings().items():
            value = _named(key, value)
            if isinstance(value, SCALARS):
                hp.values[key] = value
        self.declare(hp)
        return {p.name: hp.values[p.name] for p in hp.space if hp.is_active(p)}

    def settings_of(self, number, values):
        """Returns the settings of a trial that the search decides.

        Args:
            number: Integer, the trial; trial 0 keeps the recipe's own settings.
            values: Dict of the trial's hyperparameters.
        """
        hp = self.parameters()
        hp.values |= {k: v for k, v in values.items() if not k.startswith("tuner/")}
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
        facts = {
            "attention_zoo": attention_zoo.__version__,
            "recipe": self.recipe.name,
            "tuner": self.tuner,
            "seed": self.seed,
            "smoke": self.smoke,
            "settings": self.recipe.settings(),
            "set": list(self.pinned),
            "space": {p.name: p.get_config() for p in space.space},
        }
        return json.loads(json.dumps(facts))

    # === The trials on the disk ===

    def check_folder(self, resume):
        """Raises `UserError` where the folder holds something else than this search.

        Args:
            resume: Whether to go on with the trials that are there.
        """
        found = self.read()
        if found is None or not found["trials"]:
            if resume:
                print(f"nothing to resume in {self.folder}: a new search", flush=True)
            return
        if not resume:
            raise UserError(
                f"{self.folder} holds {len(found['trials'])} trials: --resume goes on "
                "with them, another --out begins anew"
            )
        self._compare(found)

    def open(self):
        """Begins the search or goes on with it; returns how many trials have ended."""
        found = self.read()
        if found is None or not found["trials"]:
            found = {"trials": [], "engine": None}
            found["fingerprint"] = self.fingerprint(self.engine().space)
        for trial in found["trials"]:
            trial["attempts"] = 0  # a search that is resumed may be killed again
        files.write_json(self.state / "search.json", found)
        return sum(trial["status"] != "running" for trial in found["trials"])

    def join(self):
        """Checks that another process has begun this search."""
        found = self.read()
        if found is None:
            raise UserError(
                f"no search has begun in {self.folder}: --worker takes part in one "
                "that the same command without it has begun"
            )
        self._compare(found)

    def _compare(self, found):
        others = differences(
            found["fingerprint"], self.fingerprint(self.engine().space)
        )
        if others:
            raise UserError(
                f"{self.folder} holds another search: {'; '.join(others[:3])}. Give "
                "the same options, or another --out"
            )

    def read(self):
        """Returns the content of the state, or None where there is none."""
        file = self.state / "search.json"
        if not file.exists():
            others = [path for path in self.folder.glob("*") if path != self.state]
            if others or (self.folder.exists() and not self.folder.is_dir()):
                raise UserError(
                    f"{self.folder} holds no search of attention-zoo: give another "
                    "--out"
                )
            return None
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            all(Trial(**trial) for trial in found["trials"])
            found["fingerprint"].get("recipe")
            return {key: found[key] for key in ("fingerprint", "trials", "engine")}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{file} cannot be read: give another --out") from None

    def trials(self):
        """Returns all `Trial`s, in order."""
        return [Trial(**trial) for trial in (self.read() or {"trials": []})["trials"]]

    def engine(self, state=None, trials=()):
        """Returns the engine that picks values, as it was left."""
        make = engines.Optuna if self.tuner == "optuna" else engines.KerasTuner
        return make(self, state, trials)

    @contextlib.contextmanager
    def changing(self):
        """Gives the trials and the engine to one process, and writes what it did."""
        self.state.mkdir(parents=True, exist_ok=True)
        with open(self.state / "changing", "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            found: dict = self.read() or {}
            trials = [Trial(**trial) for trial in found["trials"]]
            engine = self.engine(found["engine"], trials)
            yield trials, engine
            found["trials"] = [dataclasses.asdict(trial) for trial in trials]
            found["engine"] = engine.state()
            files.write_json(self.state / "search.json", found)

    @contextlib.contextmanager
    def claim(self, worker):
        """Gives a trial to this process, as long as the block runs.

        Args:
            worker: Name of the process.

        Yields:
            The `Trial` and the engine's function that may stop it, or None and whether
            the trials of others may still come back.
        """
        with contextlib.ExitStack() as stack:
            with self.changing() as (trials, engine):
                lost = (self._lost(trial, engine, stack) for trial in trials)
                trial = next(filter(None, lost), None)
                if trial is None and len(trials) < self.wanted:
                    values = engine.ask(len(trials))
                    if values is not None:
                        trial = Trial(len(trials), values)
                        trial.settings = self.settings_of(trial.number, values)
                        trials.append(trial)
                        self._lock(trial, stack)
                if trial is not None:
                    trial.workers.append(worker)
                waiting = any(t.status == "running" for t in trials)
            yield trial, engine.stopper() if trial is not None else waiting

    def _lost(self, trial, engine, stack):
        """Returns a trial whose process has died, or None; a second death fails it."""
        if trial.status != "running" or not self._lock(trial, stack):
            return None
        trial.attempts += 1
        if trial.attempts <= ATTEMPTS:
            return trial
        trial.status, trial.error = "failed", f"its process {trial.workers[-1]} died"
        engine.tell(trial)
        return None

    def _lock(self, trial, stack):
        """Returns whether a trial is this process's, until the stack is closed."""
        name = self.state / f"trial_{trial.number}.lock"
        file = stack.enter_context(name.open("w", encoding="utf-8"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def finish(self, trial):
        """Writes a trial that has ended."""
        with self.changing() as (trials, engine):
            trials[trial.number] = trial
            engine.tell(trial)


def _named(key, value):
    """Returns a setting as the space has it."""
    return "none" if key == "attention" and value is None else value
