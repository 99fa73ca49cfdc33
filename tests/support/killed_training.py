"""Trainings that are killed at chosen moments, each in a process of its own.

The processes are forked from one that has imported TensorFlow and computed nothing. The
models are small ones, and what is not the matter here takes no time: baselines,
pictures and the cost of a prediction.
"""

import contextlib
import io
import json
import os
import pathlib
import signal
import sys
import traceback

import numpy as np
import tensorflow as tf
from support.tiny_models import tiny_model

from attention_zoo.recipes.cards import card, plots
from attention_zoo.recipes.cli import main as command
from attention_zoo.recipes.core.recipe import get_recipe, load_pipeline
from attention_zoo.recipes.engine import callbacks, checkpoints, publishing, trainer
from attention_zoo.recipes.engine.execution import Options
from attention_zoo.recipes.tasks.images import pipeline as images
from attention_zoo.recipes.tasks.series import pipeline as series
from attention_zoo.recipes.tasks.text import pipeline as text
from attention_zoo.recipes.tasks.translation import pipeline as translation

RECIPES = {
    "text": "attention_lstm_reviews",
    "images": "cbam_resnet_digits",
    "series": "attention_forecaster_climate",
    "translation": "rnn_translator_dates",
}
SETTINGS = {"translation": ("beam_size=2", "max_length=7")}  # a search takes long
RECIPE = RECIPES["text"]
HIDDEN = f".training-{RECIPE}"
FLAGS = ("--deterministic", "--mixed-precision", "--no-jit")


# === The small training ===


def prepare(kind="text"):
    """Replaces all that takes time."""
    trainer.build = tiny_model
    if kind == "translation":  # a search takes longer than all the rest
        publishing.write_served = publishing.check_model = lambda *arguments: None
        translation.Pipeline.evaluate = size_of_weights
    for module in (images, series, text, translation):
        module.Pipeline.baselines = lambda self: {}
        module.Pipeline.attention_report = lambda *arguments: {}
    plots.curves = plots.attention = lambda *arguments: None
    card.measure_prediction = lambda *arguments: {"peak_memory_mb": 1, "ms": 1}
    text.Pipeline.baselines = lambda self: {
        "bag_of_words": lambda: {"accuracy": 0.25},
        "tfidf_logistic_regression": lambda: {"accuracy": 0.75},
    }


def size_of_weights(self, model, split, sample=None):
    """Stands for the score of translations."""
    sizes = [float(np.abs(np.asarray(w)).sum()) for w in model.get_weights()]
    return {"exact_match": sum(sizes)}


# === Moments ===


def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def in_epoch(run, epoch):
    """Kills in the second step of an epoch, which is counted from 1."""

    def on_train_batch_end(self, batch, logs=None):
        if (self.run, self.history.epoch + 1, batch) == (run, epoch, 1):
            kill()

    callbacks.Backup.on_train_batch_end = on_train_batch_end


def in_write(name):
    """Kills when half of a checkpoint is written."""
    savez = np.savez

    def write(file, **arrays):
        if f".{name}.part" != pathlib.Path(file.name).name:
            return savez(file, **arrays)
        whole = io.BytesIO()
        savez(whole, **arrays)
        file.write(whole.getvalue()[: whole.tell() // 2])
        file.flush()
        kill()

    np.savez = write


def at_replace(name, after=False, beside=None):
    """Kills before or after a file comes to its place.

    Args:
        name: The file's name.
        after: Whether it has come there.
        beside: Name of a file that must be there too.
    """
    replace = os.replace

    def move(source, target):
        target = pathlib.Path(target)
        here = target.name == name
        if here and (beside is None or (target.parent / beside).exists()):
            if after:
                replace(source, target)
            kill()
        replace(source, target)

    os.replace = move


def in_baseline():
    text.Pipeline.baselines = lambda self: {
        "bag_of_words": lambda: {"accuracy": 0.25},
        "tfidf_logistic_regression": kill,
    }


def in_export():
    publishing.write_saved_model = kill


def between_renames():
    rename = os.rename

    def move(source, target):
        if pathlib.Path(target).name == RECIPE:
            kill()
        rename(source, target)

    os.rename = move


def before_removal():
    checkpoints.Checkpoints.close = kill


MOMENTS = [
    ("in the first epoch", lambda: in_epoch("model-seed0", 1)),
    ("in the second epoch", lambda: in_epoch("model-seed0", 2)),
    ("in a checkpoint", lambda: in_write("model-seed0-epoch2.npz")),
    ("before a checkpoint's rename", lambda: at_replace("model-seed0-epoch2.npz")),
    ("after it", lambda: at_replace("model-seed0-epoch2.npz", after=True)),
    ("in the third epoch", lambda: in_epoch("model-seed0", 3)),
    (
        "before the index's rename",
        lambda: at_replace("training.json", beside="model-seed0-epoch3.npz"),
    ),
    ("when a run is finished", lambda: at_replace("model-seed0.npz", after=True)),
    ("in the twin's third epoch", lambda: in_epoch("no_attention-seed0", 3)),
    ("in a baseline", in_baseline),
    ("in the export", in_export),
    ("between the renames", between_renames),
    ("after the publication", before_removal),
]
TRUNCATED = "in the third epoch"  # after it the last checkpoint is cut short


# === Processes ===


def forked(work, log):
    """Runs a function in a forked process, its output in a file.

    Returns:
        The exit code; for a killed process, minus the number of the signal.
    """
    process = os.fork()
    if not process:
        code = 1
        with open(log, "w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            sys.stdout = sys.stderr = open(1, "w", buffering=1)  # noqa: SIM115
            try:
                code = work() or 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def train(out, moment=None, resume=True, kind="text"):
    """Trains by the command; `moment` sets up when it is killed."""
    prepare(kind)
    if moment is not None:
        moment()
    words = ["train", RECIPES[kind], "--smoke", "--epochs", "3", "--set", "ema=0.9"]
    for setting in SETTINGS.get(kind, ()):
        words += ["--set", setting]
    return command.main([*words, *FLAGS, "--out", str(out), *["--resume"] * resume])


def main(scratch):
    """Trains once without and once with all kills; prints what was seen as JSON."""
    scratch, seen = pathlib.Path(scratch), []
    whole, out = scratch / "whole", scratch / "killed"
    code = forked(lambda: train(whole, resume=False), scratch / "whole.log")
    entry = out / RECIPE
    entry.mkdir(parents=True)
    for name in ("model.keras", "card.json"):
        (entry / name).write_text('{"smoke": true}')  # an earlier entry
    for name, moment in [*MOMENTS, (None, None)]:
        log = scratch / "killed.log"
        code = forked(lambda moment=moment: train(out, moment), log)
        hidden = out / HIDDEN
        held = sorted(f.name for f in hidden.iterdir()) if hidden.exists() else []
        entries = {
            folder.name: sorted(f.name for f in folder.iterdir())
            for folder in out.iterdir()
            if not folder.name.startswith(".")
        }
        if name == TRUNCATED:
            last = hidden / "model-seed0-epoch2.npz"
            last.write_bytes(last.read_bytes()[:-100])
        told = log.read_text(encoding="utf-8")
        seen.append([name, code, entries, held, told])
    print(json.dumps(seen))


# === Two devices ===


def two_devices(scratch):
    """Trains on one and on two logical processors; prints the histories as JSON."""
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    prepare()
    recipe = get_recipe(RECIPE)
    recipe = recipe.replace(
        epochs=2, ema=0.9, dropout=0.0, batch_size=120, clip_norm=0.05
    )
    pipeline = load_pipeline(recipe, smoke=True)
    mirrored = Options(distribute="mirrored", jit=False)
    histories = []
    with contextlib.redirect_stdout(sys.stderr):
        mirrored.prepare(recipe, 0)
        kept = checkpoints.Checkpoints(pathlib.Path(scratch) / "kept", {})
        finish = kept.finish
        kept.finish = lambda *arguments: None
        for options, folder in ((Options(), None), (mirrored, kept)):
            run = trainer.fit(recipe, pipeline, 0, "model", options, folder)
            histories.append(run.history)
        kept.finish = finish
        os.remove(kept.folder / "model-seed0-epoch2.npz")
        again = checkpoints.Checkpoints(kept.folder, {}, resume=True)
        run = trainer.fit(recipe, pipeline, 0, "model", mirrored, again)
        histories.append(run.history)
    print(json.dumps(histories))
