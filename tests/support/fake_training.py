"""A training that takes no time: its score is a formula of the recipe's settings.

Processes of their own run it by `PROGRAM`. With `FAKE_LOG` each start and end is a line
of that file; the training named by `FAKE_KILL` kills its process the first time.
"""

import os
import pathlib
import signal
import sys
import time

from support.fresh import TESTS

PROGRAM = (
    sys.executable,
    "-u",
    "-c",
    f"import sys; sys.path.insert(0, {TESTS!r}); import conftest\n"
    "from support import fake_training\n"
    "from attention_zoo.recipes.cli import main\n"
    "from attention_zoo.recipes.engine import trainer\n"
    "trainer.fit = fake_training.fit\n"
    "sys.exit(main.main())",
)


wrong: dict = {}  # by label: what is raised, or the validation loss


def score_of(learning_rate, dropout, units):
    """Returns the score of a training."""
    return 0.5 + 20 * learning_rate + dropout / 10 + units / 1000


def note(words):
    """Appends a line to the log."""
    if "FAKE_LOG" in os.environ:
        with open(os.environ["FAKE_LOG"], "a", encoding="utf-8") as file:
            file.write(f"{words}\n")


def notes():
    """Returns the lines of the log."""
    return pathlib.Path(os.environ["FAKE_LOG"]).read_text().splitlines()


def fit(recipe, pipeline, seed, label, callbacks=()):
    """Stands for `trainer.fit`."""
    from attention_zoo.recipes.engine import trainer

    note(f"start {label}")
    if os.environ.get("FAKE_KILL") == label and notes().count(f"start {label}") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("FAKE_SECONDS", 0)))
    settings = recipe.settings()
    names = ("learning_rate", "dropout", "units")
    score = score_of(*(settings[name] for name in names))
    failure = wrong.get(label, 0.5)
    if isinstance(failure, BaseException):
        raise failure
    logs = {"loss": 1.0, "val_accuracy": score, "val_loss": failure, "seconds": 0.0}
    note(f"end {label}")
    return trainer.Run(seed, 1, (score, -0.5), [], [logs] * recipe.epochs, 0.0)
