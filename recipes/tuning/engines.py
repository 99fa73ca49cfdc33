"""What picks the values of trials: keras-tuner's oracles, or Optuna."""

import math
import tempfile

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.hyperparameters import Fixed
from keras_tuner.engine.trial import Trial

from attention_zoo.recipes.core.errors import UserError

DIGITS = 6  # significant ones, of a value
DRAWS = 20  # of Optuna, until values are taken to be exhausted


def rounded(values):
    """Returns hyperparameters with floats of `DIGITS` significant digits."""
    return {
        key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
        for key, value in values.items()
    }


def free_parameters(space):
    """Returns the parameters of a space that have more than one value."""
    return [p for p in space.space if not isinstance(p, Fixed)]


# === keras-tuner ===


class FromDefaults(keras_tuner.Oracle):
    """What every oracle has here: trial 0 takes the recipe's own values."""

    defaults: dict
    trials: dict
    num_initial_points: float

    def populate_space(self, trial_id):
        if not self.trials:
            return {"status": "RUNNING", "values": self.defaults}
        response = super().populate_space(trial_id)
        if response.get("values"):
            response["values"] = rounded(response["values"])
        return response


class Random(FromDefaults, keras_tuner.oracles.RandomSearchOracle):
    """Random search."""


class Hyperband(FromDefaults, keras_tuner.oracles.HyperbandOracle):
    """Hyperband."""


class Bayesian(FromDefaults, keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimization that tries no values twice.

    The Gaussian process sees the completed trials whose values the space offers.
    """

    def populate_space(self, trial_id):
        everything, points = self.trials, self.num_initial_points
        self.trials = {k: t for k, t in everything.items() if self.is_point(t)}
        try:
            if everything and not self.trials:
                self.num_initial_points = math.inf
                self.trials = everything
            response = super().populate_space(trial_id)
            tried = [trial.hyperparameters.values for trial in everything.values()]
            if response.get("values") in tried:
                self.num_initial_points = math.inf  # another one, at random
                response = super().populate_space(trial_id)
            return response
        finally:
            self.trials, self.num_initial_points = everything, points

    def is_point(self, trial):
        """Returns whether a trial is a point of the Gaussian process."""
        try:
            for parameter in free_parameters(self.hyperparameters):
                values = trial.hyperparameters.values
                parameter.value_to_prob(values.get(parameter.name, parameter.default))
        except ValueError:  # the recipe's own value, which the space does not offer
            return False
        return trial.status == "COMPLETED"


ORACLES = {"random": Random, "hyperband": Hyperband, "bayesian": Bayesian}


class KerasTuner:
    """keras-tuner's oracle, whose state is kept by the search.

    Args:
        search: The `Search`.
        state: What `state` returned, or None for a new search.
        trials: List of the search's trials.
    """

    def __init__(self, search, state=None, trials=()):
        kind = "random" if search.tuner == "optuna" else search.tuner
        options = {
            "objective": keras_tuner.Objective("score", "max"),
            "hyperparameters": search.parameters(),
            "seed": search.seed + 1,  # to keras-tuner 0 means any
            "max_consecutive_failed_trials": 10**9,
        }
        if kind == "hyperband":  # bracket after bracket until all trials are used
            options["max_epochs"] = search.recipe.epochs
            options["hyperband_iterations"] = math.inf
        else:
            options["max_trials"] = None  # the search counts
        self.oracle = ORACLES[kind](**options)
        self.oracle.defaults, self.oracle.verbose = search.defaults(), 0
        self._scratch = tempfile.TemporaryDirectory()  # for files that nobody reads
        BaseTuner(self.oracle, search.declare, directory=self._scratch.name)
        self.space = self.oracle.get_space()
        if not free_parameters(self.space):
            raise UserError(
                f"--set leaves nothing to tune in {search.recipe.name}"
                if search.pinned
                else f"the space of {search.recipe.name} is empty"
            )
        if state is not None:
            for trial in map(Trial.from_state, state["trials"]):
                self.oracle.trials[trial.trial_id] = trial
            self.oracle.set_state(state["oracle"])

    def ask(self, number):
        """Returns the values of the next trial, or None where there are none now."""
        trial = self.oracle.create_trial(str(number))
        if trial.status != "RUNNING":
            return None
        return dict(trial.hyperparameters.values)

    def tell(self, trial):
        """Learns from a trial that has ended."""
        own = self.oracle.ongoing_trials[str(trial.number)]
        if trial.status == "completed":
            self.oracle.update_trial(own.trial_id, {"score": trial.score})
        own.status = "COMPLETED" if trial.status == "completed" else "FAILED"
        self.oracle.end_trial(own)

    def stopper(self):
        """Returns no function: Hyperband decides on epochs before a trial begins."""

    def state(self):
        """Returns what `__init__` takes, for JSON."""
        trials = [trial.get_state() for trial in self.oracle.trials.values()]
        return {"trials": trials, "oracle": self.oracle.get_state()}


# === Optuna ===


class Optuna:
    """Optuna's TPE sampler and its median pruner, on the trials of the search.

    Args:
        search: The `Search`.
        state: Nothing: the trials are all that is needed.
        trials: List of the search's trials.
    """

    def __init__(self, search, state=None, trials=()):
        self._search, self._trials = search, trials
        self.space = KerasTuner(search).space
        self._kinds = {p.name: _distribution(p) for p in free_parameters(self.space)}

    def _study(self, seed=0):
        """Returns a study that holds all trials that have ended."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
            direction="maximize",
        )
        for trial in self._trials:
            if trial.score is None or trial.status == "running":
                continue
            values = {k: v for k, v in trial.values.items() if k in self._kinds}
            try:
                study.add_trial(
                    optuna.create_trial(
                        state=optuna.trial.TrialState[_STATES[trial.status]],
                        params=values,
                        distributions={key: self._kinds[key] for key in values},
                        value=trial.score,
                        intermediate_values=dict(enumerate(trial.scores)),
                    )
                )
            except ValueError:  # the recipe's own value, which the space does not offer
                continue
        return study

    def ask(self, number):
        """Returns the values of the next trial, or None where there are none now."""
        if number == 0:
            return self._search.defaults()
        tried = [trial.values for trial in self._trials]
        for draw in range(DRAWS):
            study = self._study(self._search.seed + number + 10_007 * draw)
            asked, hp = study.ask(self._kinds).params, keras_tuner.HyperParameters()
            for parameter in self.space.space:
                hp.merge([parameter])
                if hp.is_active(parameter):
                    hp.values[parameter.name] = asked.get(
                        parameter.name, parameter.default
                    )
            values = rounded(hp.values)
            if values not in tried:
                return values
        return None

    def tell(self, trial):
        """Learns nothing: the next study holds the trial."""

    def stopper(self):
        """Returns a function of score and epoch that says whether to stop a trial."""
        asked = self._study().ask()

        def stop(score, epoch):
            asked.report(score, epoch)
            return asked.should_prune()

        return stop

    def state(self):
        """Returns nothing."""


_STATES = {"completed": "COMPLETE", "pruned": "PRUNED"}


def _distribution(parameter):
    """Returns Optuna's distribution for a parameter of keras-tuner."""
    from optuna import distributions

    kind = type(parameter).__name__
    if kind in ("Choice", "Boolean"):
        values = getattr(parameter, "values", (False, True))
        return distributions.CategoricalDistribution(tuple(values))
    log = parameter.sampling == "log"
    options = {"log": log, "step": None if log else parameter.step}
    if kind == "Int":
        options["step"] = options["step"] or 1
    of_kind = getattr(distributions, f"{kind}Distribution")
    return of_kind(parameter.min_value, parameter.max_value, **options)
