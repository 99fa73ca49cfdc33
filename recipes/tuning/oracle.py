"""keras-tuner's oracles: the defaults first, one whole file of state, lost workers."""

import json
import math

import keras_tuner
from keras_tuner.engine import trial as trial_module

from attention_zoo.recipes.core import files as _files
from attention_zoo.recipes.core.errors import UserError

STATUS = trial_module.TrialStatus
DIGITS = 6  # of a value: as many as keras-tuner's float32 messages carry


def rounded(values):
    """Returns hyperparameters with floats of `DIGITS` significant digits."""
    return {
        key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for key, value in values.items()
    }


class Guarded(keras_tuner.Oracle):
    """What every oracle has here beside its own way to pick values.

    Trial 0 takes the recipe's own values. The state is one file, replaced as a whole.
    A failed trial is kept and the search goes on; a trial whose worker died is given
    to another one, once.

    Args:
        defaults: Dict of the values of trial 0.
        file: Path of the file with the state.
        trials: Integer, how many trials to run.
        **options: Arguments of keras-tuner's oracle.
    """

    trials: dict  # from id to trial
    failure: Exception | None = None  # what the search cannot go on with

    def __init__(self, defaults, file, trials, **options):
        super().__init__(
            objective=keras_tuner.Objective("score", "max"),
            max_retries_per_trial=1,
            max_consecutive_failed_trials=10**9,
            **options,
        )
        self.defaults = defaults
        self.file = file
        self.max_trials = trials
        self.verbose = 0

    # === The next trial ===

    def populate_space(self, trial_id):
        if not self.trials:
            return {"status": STATUS.RUNNING, "values": rounded(self.defaults)}
        response = super().populate_space(trial_id)
        if response.get("values"):
            response["values"] = rounded(response["values"])
        return response

    def _compute_values_hash(self, values):
        return super()._compute_values_hash(rounded(values))

    @keras_tuner.synchronized
    def create_trial(self, tuner_id):
        """Returns the next trial; a worker waits as long as others still run one."""
        stopped = trial_module.Trial(self.get_space(), status=STATUS.STOPPED)
        if self.failure is not None:
            return stopped
        try:
            trial = super().create_trial(tuner_id)
        except Exception as error:  # keras-tuner's lock would stay shut
            self.failure = error
            return stopped
        if trial.status == STATUS.STOPPED and self.ongoing_trials:
            trial.status = STATUS.IDLE  # one of them may come back
            self.tuner_ids.add(tuner_id)
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial):
        """Ends a trial, the first time that it is ended."""
        running = {running.trial_id for running in self.ongoing_trials.values()}
        if trial.trial_id not in running:
            return
        trial.hyperparameters = self.trials[trial.trial_id].hyperparameters
        try:
            super().end_trial(trial)
        except Exception as error:  # a full disk, say
            self.failure = error

    # === Workers that are gone ===

    @keras_tuner.synchronized
    def release(self, tuner_id, reason):
        """Takes the trial of a lost worker back and returns its id, if there is one.

        Args:
            tuner_id: The worker.
            reason: What became of it.
        """
        self.tuner_ids.discard(tuner_id)
        trial = self.ongoing_trials.get(tuner_id)
        if trial is None:
            return None
        trial.status, trial.message = STATUS.INVALID, reason
        self.end_trial(trial)
        return trial.trial_id

    def finished(self):
        """Returns whether as many trials as wanted have ended; raises a failure."""
        if self.failure is not None:
            raise self.failure
        return len(self.end_order) >= self.max_trials

    # === State ===

    def save(self):
        trials = [trial.get_state() for trial in self.trials.values()]
        _files.write_json(self.file, {"trials": trials, "oracle": self.get_state()})

    def _save_trial(self, trial):
        """Writes nothing: a trial is part of the one file."""

    def reload(self):
        """Reads the state; trials that had not ended are to be run again."""
        try:
            state = json.loads(self.file.read_text(encoding="utf-8"))
            for trial_state in state["trials"]:
                trial = trial_module.Trial.from_state(trial_state)
                self.trials[trial.trial_id] = trial
            self.set_state(state["oracle"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.file} cannot be read ({error!r}): the search cannot be resumed"
            ) from None
        self.ongoing_trials = {}
        ended = set(self.end_order)
        waiting = [
            trial for trial in self.trials.values() if trial.trial_id not in ended
        ]
        for trial in waiting:
            trial.status = STATUS.INVALID
        self._retry_queue = [trial.trial_id for trial in reversed(waiting)]


class Random(Guarded, keras_tuner.oracles.RandomSearchOracle):
    """Random search."""


class Hyperband(Guarded, keras_tuner.oracles.HyperbandOracle):
    """Hyperband, bracket after bracket until all trials are used."""

    def __init__(self, defaults, file, trials, max_epochs, **options):
        super().__init__(
            defaults,
            file,
            trials,
            max_epochs=max_epochs,
            hyperband_iterations=math.inf,
            **options,
        )


class Bayesian(Guarded, keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimization that tries no values twice."""

    def populate_space(self, trial_id):
        response = super().populate_space(trial_id)
        values = response.get("values")
        if self.trials and values and self._duplicate(values):
            response = self._random_populate_space()
            response["values"] = rounded(response["values"] or {})
        return response

    def _vectorize_trials(self):
        """Leaves out trials that the Gaussian process cannot place in the space."""
        everything = self.trials
        self.trials = {key: t for key, t in everything.items() if self._placed(t)}
        try:
            return super()._vectorize_trials()
        finally:
            self.trials = everything

    def _placed(self, trial):
        """Returns whether each value is one that the space offers."""
        for parameter in self._nonfixed_space():
            value = trial.hyperparameters.values.get(parameter.name, parameter.default)
            try:
                parameter.value_to_prob(value)
            except ValueError:
                return False
        return True


def make_oracle(tuner, defaults, file, trials, max_epochs, seed):
    """Returns the oracle of a search.

    Args:
        tuner: `"random"`, `"hyperband"` or `"bayesian"`.
        defaults: Dict of the values of trial 0.
        file: Path of the file with the state.
        trials: Integer, how many trials to run.
        max_epochs: Integer, the longest training.
        seed: Integer.
    """
    seed = seed + 1  # to keras-tuner 0 means any
    if tuner == "hyperband":
        return Hyperband(defaults, file, trials, max_epochs, seed=seed)
    return {"random": Random, "bayesian": Bayesian}[tuner](
        defaults, file, trials, seed=seed
    )
