"""Processes that run trials: this one, and others that it starts and replaces."""

import math
import time
from typing import Any

import keras

from attention_zoo.recipes.core.errors import UserError, one_line
from attention_zoo.recipes.core.recipe import load_pipeline
from attention_zoo.recipes.distributed import processes
from attention_zoo.recipes.engine import trainer

FALSE_STARTS = 3  # of workers that die before their first trial
PAUSE_SECONDS = 0.2  # before the next question for a trial, or look at the workers


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


class Pruner(keras.callbacks.Callback):
    """Stops a trial that the engine expects nothing of.

    Args:
        score: Function from an epoch's logs to a tuple.
        stop: Function of a score and the number of an epoch.
    """

    def __init__(self, score, stop):
        super().__init__()
        self.score, self.stop, self.pruned = score, stop, False

    def on_epoch_end(self, epoch, logs=None):
        if self.stop(float(self.score(logs)[0]), epoch):
            self.model.stop_training = self.pruned = True


def work(search, data, worker="this process", told=lambda: None):
    """Runs trials until there are no more.

    Args:
        search: The `Search`.
        data: Its `Data`.
        worker: Name of this process.
        told: Function without arguments that is called when a trial has ended.
    """
    while True:
        with search.claim(worker) as (trial, stop):
            if trial is not None:
                run(search, data, trial, stop)
                search.finish(trial)
        if trial is not None:
            told()
        elif stop:  # the trials of others may come back
            time.sleep(PAUSE_SECONDS)
        else:
            return


def run(search, data, trial, stop):
    """Trains a trial's model and fills in what came of it."""
    start = time.monotonic()
    try:
        recipe = search.recipe.replace(**trial.settings)
        pipeline = data.of(recipe)
        pruners = [Pruner(pipeline.score, stop)] if stop else []
        label = f"trial {trial.number}"
        done = trainer.fit(recipe, pipeline, search.seed, label, callbacks=pruners)
        best = done.history[done.epoch - 1]
        trial.epochs = len(done.history)
        wrong = [f"{key} {v}" for key, v in best.items() if not math.isfinite(v)]
        if wrong:
            trial.status, trial.error = "diverged", f"diverged: {', '.join(wrong)}"
        else:
            trial.score = float(done.score[0])
            trial.scores = [float(pipeline.score(row)[0]) for row in done.history]
            trial.metric = metric_name(trial.score, best)
            pruned = any(pruner.pruned for pruner in pruners)
            trial.status = "pruned" if pruned else "completed"
    except Exception as error:  # whatever it is, the search goes on
        trial.status, trial.error = "failed", one_line(error)
    trial.seconds = round(time.monotonic() - start, 1)


def metric_name(score, logs):
    """Returns which validation metric a score is, with a minus where it is turned."""
    for key, value in logs.items():
        if key.startswith("val_") and abs(value) == abs(score):
            return key if value == score else f"-{key}"
    return "score"


# === Workers on this machine ===


class LocalWorkers:
    """Worker processes of this machine; a dead one is replaced.

    Args:
        search: The `Search`.
        command: List of the arguments of `attention-zoo` for a worker.
    """

    def __init__(self, search, command):
        self._search, self._command = search, command
        self._processes: dict = {}
        self._started = self._false_starts = 0

    def work(self, count, told):
        """Keeps workers at work until there are no more trials.

        Args:
            count: Integer, how many work at the same time.
            told: Function without arguments, called when trials may have ended.
        """
        try:
            for _ in range(count):
                self._start()
            while self._processes:
                time.sleep(PAUSE_SECONDS)
                for name, process in list(self._processes.items()):
                    if process.poll() is not None:
                        del self._processes[name]
                        self._replace(name, process.returncode)
                told()
        finally:
            processes.stop(self._processes.values())

    def _start(self):
        name = f"worker{self._started}"
        self._started += 1
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        share = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        with open(log, "wb") as file:
            words = [*self._command, "--worker", name]
            self._processes[name] = processes.start(words, file, **share)
        process = self._processes[name].pid
        print(f"{name} is process {process}, log in {log}", flush=True)

    def _log(self, name):
        return self._search.state / "logs" / f"{name}.log"

    def _replace(self, name, code):
        """Starts another worker in the place of one that has died."""
        if code == 0:
            return
        own = [trial for trial in self._search.trials() if name in trial.workers]
        lost = [t for t in own if t.status == "running" or t.workers[-1] != name]
        self._false_starts = 0 if own else self._false_starts + 1
        how = processes.how_it_ended(code)
        if (code == 2 and not own) or self._false_starts >= FALSE_STARTS:
            said = processes.last_words(self._log(name))
            raise UserError(f"{name} ended with {how}: {said}")
        place = f" in trial {lost[-1].number}" if lost else ""
        print(f"{name} died{place} ({how}), another one takes its place", flush=True)
        self._start()
