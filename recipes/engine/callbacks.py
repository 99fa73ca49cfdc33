"""What goes along with a training: the best epoch, its history, its checkpoints."""

import random
import time

import keras
import numpy as np

from attention_zoo.recipes.cards.measure import peak_memory_mb
from attention_zoo.recipes.core.errors import UserError


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch that scored best on validation.

    Args:
        score: Function from an epoch's logs to a comparable value.
    """

    def __init__(self, score):
        super().__init__()
        self.score = score
        self.best: tuple = ()
        self.epoch = 0
        self.weights: list = []

    def on_epoch_end(self, epoch, logs=None):
        score = self.score(logs)
        if not self.epoch or score > self.best:
            self.best, self.epoch = score, epoch + 1
            self.weights = self.model.get_weights()


class History(keras.callbacks.Callback):
    """Notes the figures of every epoch and how long it took, validation included."""

    def __init__(self):
        super().__init__()
        self.epoch = 0  # the one that runs, counted from 0
        self.rows: list = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.monotonic() - self._start, 2)
        row = {key: float(value) for key, value in logs.items()}
        self.rows.append(row | {"seconds": seconds})


class Averages(keras.callbacks.SwapEMAWeights):
    """Keras's swap of weights and averages, which may begin in mid-training."""

    def __init__(self):
        super().__init__(swap_on_epoch=True)

    def resume(self):
        """Says that the model holds the averages, as it does after an epoch."""
        self._ema_weights_in_model = True


class Backup(keras.callbacks.Callback):
    """Writes a checkpoint at the end of each epoch, and takes up the last one.

    It comes last of the callbacks, so that it sees what the others have done. Beside
    all variables of model and optimizer, seeds of dropout and averages included, it
    keeps the best epoch, the history and the state of Python's and NumPy's generators.

    Args:
        checkpoints: The `Checkpoints`. None writes none.
        run: Name of the run in them.
        model: The compiled model, its optimizer built.
        history: The run's `History`.
        keeper: The run's `BestEpoch`.
    """

    def __init__(self, checkpoints, run, model, history, keeper):
        super().__init__()
        self.checkpoints, self.run = checkpoints, run
        self.history, self.keeper = history, keeper
        # Fixed before the training, which adds the variables of metrics.
        self.variables = [*model.variables, *model.optimizer.variables]
        self.seconds, self.memory = 0.0, 0
        self._begun = time.monotonic()

    def resume(self):
        """Takes up the last checkpoint, and returns the number of epochs it holds."""
        found = self.checkpoints and self.checkpoints.load_epoch(self.run)
        if not found:
            return 0
        facts, arrays = found
        values = numbered(arrays, "variable")
        if [v.shape for v in values] != [tuple(v.shape) for v in self.variables]:
            raise UserError(
                f"the checkpoints in {self.checkpoints.folder} do not fit the model, "
                "whose code has changed: without --resume the training starts anew"
            )
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        self.keeper.weights = numbered(arrays, "best")
        self.keeper.epoch, self.keeper.best = facts["epoch"], tuple(facts["score"])
        self.history.rows = facts["history"]
        self.seconds, self.memory = facts["seconds"], facts["memory"]
        set_random_states(facts["random"])
        return len(self.history.rows)

    def on_train_begin(self, logs=None):
        self._begun = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if self.checkpoints is None:
            return
        values = [keras.ops.convert_to_numpy(v) for v in self.variables]
        facts = {
            "epoch": self.keeper.epoch,
            "score": self.keeper.best,
            "history": self.history.rows,
            **self.cost(),
            "random": random_states(),
        }
        arrays = name_arrays("variable", values)
        arrays |= name_arrays("best", self.keeper.weights)
        self.checkpoints.save_epoch(self.run, epoch + 1, facts, arrays)

    def cost(self):
        """Returns seconds and peak memory, those of earlier processes included."""
        return {
            "seconds": self.seconds + time.monotonic() - self._begun,
            "memory": max(self.memory, peak_memory_mb()),
        }


def name_arrays(name, values):
    """Returns a list of arrays as a dict with numbered names."""
    return {f"{name}_{i}": value for i, value in enumerate(values)}


def numbered(arrays, name):
    """Returns the list that `name_arrays` made a dict of."""
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return [arrays[f"{name}_{i}"] for i in range(count)]


def random_states():
    """Returns the states of Python's and NumPy's generators, for JSON."""
    state = np.random.get_state(legacy=False)
    state["state"]["key"] = state["state"]["key"].tolist()
    return {"python": random.getstate(), "numpy": state}


def set_random_states(states):
    """Sets the states that `random_states` gave, after JSON."""
    version, inner, gauss = states["python"]
    random.setstate((version, tuple(inner), gauss))
    np.random.set_state(states["numpy"])
