"""Writes the artefacts of an entry, and publishes a folder whole or not at all."""

import collections
import contextlib
import csv
import fcntl
import glob
import os
import pathlib
import shutil
import tempfile

import numpy as np

from attention_zoo.kernels.lstm import without_kernel
from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.core.files import replacing
from attention_zoo.recipes.engine.checkpoints import TWIN

TOLERANCE = 1e-5  # between the trained model and the two saved forms
MODEL = "model.keras"
# What a publication writes. A folder that holds none of the first part is no earlier
# one, and is not replaced; of an earlier one all else is the user's own, and is kept.
Form = collections.namedtuple("Form", "marks others")
ENTRY = Form(
    (MODEL, "card.json", "saved_model"),
    ("README.md", "history.csv", "curves.png", "attention.png", "lengths.png"),
)
SAVED_MODEL = Form(
    ("saved_model.pb",), ("fingerprint.pb", "variables", "assets", "assets.extra")
)
JIT_LENGTH = 32  # words; a text is filled up to a multiple for XLA


@contextlib.contextmanager
def publication(out, name, form=ENTRY):
    """Gives a temporary sibling of `out/name` that takes its place at the end.

    When the block raises, whatever it is (Ctrl-C and a full disk too), the previous
    folder stays as it was and the temporary one is removed.

    Args:
        out: Folder of all entries; made if need be.
        name: Name of the entry.
        form: The `Form` of what is published.

    Yields:
        The path to write into.
    """
    out = pathlib.Path(out)
    target = out / name
    made = not out.exists()
    with contextlib.ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            recover(out, name)
            staging = stack.enter_context(hidden_folder(out, name))
            staging.chmod(0o755)  # mkdtemp makes it private
        except OSError as error:
            raise UserError(f"cannot write into {out}: {error.strerror}") from error
        try:
            refuse_other_folder(target, form.marks)
            yield staging
            keep_own_files(target, staging, form)
            replace_folder(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if made:
                with contextlib.suppress(OSError):
                    out.rmdir()  # only if nothing was published


@contextlib.contextmanager
def hidden_folder(out, name):
    """Gives a new folder `out/.name.*`, with a lock that dies with this process."""
    folder = tempfile.mkdtemp(prefix=f".{name}.", dir=out)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield pathlib.Path(folder)
    finally:
        os.close(handle)


def is_abandoned(folder):
    """Returns whether the process that made a hidden folder has ended."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def check_target(out, name, form=ENTRY):
    """Raises `UserError` now for what `publication` would refuse after a training."""
    with contextlib.suppress(_Checked), publication(out, name, form):
        raise _Checked


class _Checked(Exception):
    """Leaves a publication without publishing."""


def refuse_other_folder(target, marks):
    """Raises `UserError` where publishing would delete files of another kind."""
    if target.is_dir():
        held = {file.name for file in target.iterdir()}
        if not held or held & set(marks):
            return
    elif not os.path.lexists(target):
        return
    raise UserError(
        f"{target} exists and holds none of {', '.join(marks)}: it is not replaced"
    )


def keep_own_files(old, new, form):
    """Copies what a publication replaces and did not write; links stay links."""
    for file in old.iterdir() if old.is_dir() else ():
        place = new / file.name
        if file.name == "saved_model" and form is ENTRY:
            if place.is_dir():
                keep_own_files(file, place, SAVED_MODEL)
        elif file.name in (*form.marks, *form.others) or os.path.lexists(place):
            continue
        elif file.is_dir() and not file.is_symlink():
            shutil.copytree(file, place, symlinks=True)
        else:
            shutil.copy2(file, place, follow_symlinks=False)


def recover(out, name):
    """Undoes what a killed process left behind of a publication.

    An entry that had been moved aside comes back, and the hidden folders of processes
    that have ended are removed.
    """
    for hidden in out.glob(f".{glob.escape(name)}.*"):
        if not hidden.is_dir() or not is_abandoned(hidden):
            continue
        kept = hidden / "previous"
        if kept.exists() and not (out / name).exists():
            os.rename(kept, out / name)
            hidden.rmdir()
        else:
            shutil.rmtree(hidden, ignore_errors=True)


def replace_folder(new, target):
    """Puts the folder `new` in the place of `target`, by two renames."""
    if not target.exists():
        os.rename(new, target)
        return
    with hidden_folder(target.parent, target.name) as old:
        kept = old / "previous"
        try:
            os.rename(target, kept)
            os.rename(new, target)
        except BaseException:
            if kept.exists() and not target.exists():
                os.rename(kept, target)
            raise
        finally:
            if target.exists():
                shutil.rmtree(old, ignore_errors=True)


def write_history(path, runs, twins):
    """Writes one row for each epoch of each run."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        keys = list(runs[0].history[0])
        writer.writerow(["model", "seed", "epoch", *keys])
        for label, group in (("model", runs), (TWIN, twins)):
            for run in group:
                for epoch, row in enumerate(run.history, start=1):
                    values = [f"{row[key]:.5g}" for key in keys]
                    writer.writerow([label, run.seed, epoch, *values])


def write_model(servable, path):
    """Writes `model.keras` whole or not at all; uncompiled, so without an optimizer."""
    with disk_errors(), replacing(path) as scratch:
        servable.save(scratch)


def check_model(servable, folder, inputs):
    """Raises `RuntimeError` where `model.keras` differs from the trained model."""
    import keras
    import tensorflow as tf

    reloaded = keras.models.load_model(folder / MODEL, safe_mode=True)
    batch = tf.constant(inputs)
    compare(MODEL, reloaded(batch, training=False), servable(batch, training=False))


def write_served(servable, folder, inputs):
    """Writes `saved_model/`, or none where it fails or differs from the model."""
    import tensorflow as tf

    place = folder / "saved_model"
    try:
        write_saved_model(servable, place)
        batch, served = tf.constant(inputs), tf.saved_model.load(str(place))
        compare("saved_model", served.serve(batch), servable(batch, training=False))
    except Exception:
        shutil.rmtree(place, ignore_errors=True)
        raise


def compare(name, outputs, expected):
    """Raises `RuntimeError` where a saved form gives other outputs."""
    worst = difference(np.asarray(outputs), np.asarray(expected))
    if not worst <= TOLERANCE:
        raise RuntimeError(
            f"{name} differs from the trained model by {worst:.2g} "
            f"(allowed: {TOLERANCE:.0e})"
        )


def difference(outputs, expected):
    """Returns by how much outputs differ at most; of strings, the share that does."""
    if expected.dtype == object:
        return float((outputs != expected).mean())
    scale = np.maximum(1, np.abs(expected))  # forecasts may be large numbers
    return float((np.abs(outputs - expected) / scale).max())


def write_saved_model(servable, folder, jit=False):
    """Writes a SavedModel that plain TensorFlow serves.

    Args:
        servable: The model from raw inputs.
        folder: Where to write.
        jit: Whether XLA compiles the model when it is first called, and again for each
            new size: batches are filled up to a power of two, texts to a multiple of
            `JIT_LENGTH` words, so that sizes are few.

    Raises:
        UserError: With `jit`, when the model is none that XLA can compile.
    """
    if not jit:
        with disk_errors():
            servable.export(folder, format="tf_saved_model", verbose=False)
        return
    import keras

    serve, specification = jit_endpoint(servable)
    archive = keras.export.ExportArchive()
    archive.track(servable)
    with without_kernel(servable), disk_errors():
        archive.add_endpoint("serve", serve, input_signature=[specification])
        archive.write_out(folder, verbose=False)


def jit_endpoint(servable):
    """Returns a function of raw inputs whose core XLA compiles, and what it takes.

    Strings stay outside, since XLA has none: what is compiled is the last layer, a
    model of token ids. Of other inputs the whole model is compiled.
    """
    import keras
    import tensorflow as tf

    core, prepare = servable, None
    if keras.backend.standardize_dtype(servable.inputs[0].dtype) == "string":
        *before, core = servable.operations
        if not isinstance(core, keras.Model):
            raise UserError(
                f"{servable.name} ends with {core.name}, which XLA cannot compile: "
                "export it without --jit"
            )
        prepare = keras.Model(servable.inputs, before[-1].output)
    compiled = tf.function(
        lambda x: core(x, training=False), jit_compile=True, autograph=False
    )

    def serve(inputs):
        x = prepare(inputs) if prepare else inputs
        shape = tf.shape(x)
        filled = tf.bitwise.left_shift(1, tf.reduce_sum(_powers_below(shape[0])))
        missing = [[0, filled - shape[0]]]
        if prepare:
            missing.append([0, -shape[1] % JIT_LENGTH])
        missing += [[0, 0]] * (x.shape.rank - len(missing))
        return compiled(tf.pad(x, missing))[: shape[0]]

    given = servable.inputs[0]
    return serve, tf.TensorSpec(given.shape, given.dtype, name=given.name)


def _powers_below(number):
    """Returns 1 for each power of two below a number, else 0, a tensor."""
    import tensorflow as tf

    powers = tf.bitwise.left_shift(1, tf.range(31))
    return tf.cast(powers < number, "int32")


@contextlib.contextmanager
def disk_errors():
    """Turns TensorFlow's and HDF5's own kinds of a failed write into `OSError`."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.OpError, RuntimeError) as error:
        first = str(error).strip().splitlines()[:1]
        raise OSError(f"cannot write the model: {' '.join(first)}") from error
