"""Checkpoints: what a killed training needs to go on, in a hidden folder.

A checkpoint is one npz file: arrays, and everything else as JSON in the array `facts`.
It is written beside its place, synced and renamed: it is there whole or not at all.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import sys
import time
import uuid

import numpy as np

from attention_zoo.recipes.core.errors import UserError, differences, one_line

INDEX = "training.json"
TWIN = "no_attention"  # label of the model without attention
KEPT_EPOCHS = 2  # of the run that is not finished


def trained(recipe, seeds, folder):
    """Returns whether all runs of a training have come to their end."""
    labels = ["model"] + [TWIN] * (recipe.config.get("attention") is not None)
    names = [f"{label}-seed{seed}.npz" for label in labels for seed in seeds]
    return all((folder / name).exists() for name in names)


class Checkpoints:
    """The checkpoints of one training, which is one or several runs.

    Nothing is written before the first checkpoint: until then an earlier training's
    folder stays. A folder that another process has taken over since is left alone, and
    a disk that takes no checkpoint does not end the training: both give a warning.

    Args:
        folder: The hidden folder.
        fingerprint: Dict of dicts that JSON can hold: all that decides the result. A
            training goes on only with an equal one.
        resume: Whether to go on from what is there.
        handed_over: Whether the process that trained hands over to this one.

    Raises:
        UserError: When `resume` finds the checkpoints of another training.
    """

    def __init__(self, folder, fingerprint, resume=False, handed_over=False):
        self.folder = pathlib.Path(folder)
        self.fingerprint = json.loads(json.dumps(fingerprint))
        self.starts = 1  # processes that have worked on the training
        self._owner, self._claimed, self._writes = uuid.uuid4().hex, False, True
        self._begun = time.monotonic()
        found = self._read_index(resume)
        if resume and found:
            self._go_on(found, handed_over)
        elif resume:
            print(f"no training to resume in {self.folder}: this one starts anew")
        elif found:
            self._tell_of(found)

    # === Whose folder it is ===

    def _read_index(self, resume):
        """Returns the index of the folder, or None where there is none."""
        path = self.folder / INDEX
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {k: found[k] for k in ("fingerprint", "owner", "starts", "seconds")}
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            if not resume:
                return None
            raise UserError(
                f"{path} cannot be read ({one_line(error)}): without --resume the "
                "training starts anew"
            ) from None

    def _go_on(self, found, handed_over):
        """Takes over the folder of a training with the same fingerprint."""
        others = differences(found["fingerprint"], self.fingerprint)
        if others:
            raise UserError(
                f"{self.folder} is of another training: {'; '.join(others[:3])}. Give "
                "the same settings, or no --resume to start anew"
            )
        self.starts = found["starts"] + (not handed_over)
        self._begun -= found["seconds"]
        self._claimed = True
        self._write_index()
        if not handed_over:
            print(f"resuming the training in {self.folder}", flush=True)

    def _tell_of(self, found):
        """Says that there is a training that could go on."""
        same = not differences(found["fingerprint"], self.fingerprint)
        print(
            f"{self.folder} holds an unfinished training"
            f"{': --resume continues it' if same else ' with other settings'}. This "
            "one starts anew and replaces it at the end of its first epoch",
            flush=True,
        )

    def _write_index(self):
        index = {
            "fingerprint": self.fingerprint,
            "owner": self._owner,
            "starts": self.starts,
            "seconds": round(self.seconds, 2),
        }
        with replacing(self.folder / INDEX) as file:
            file.write(json.dumps(index, indent=1).encode())

    @property
    def seconds(self):
        """Seconds of this training, those of earlier processes included."""
        return time.monotonic() - self._begun

    @property
    def written(self):
        """Whether the folder holds checkpoints of this training."""
        return self._claimed

    @contextlib.contextmanager
    def telling(self):
        """Says, when a training does not come to its end, that it can go on."""
        try:
            yield
        except BaseException:
            self.tell()
            raise

    def tell(self):
        """Says that the training can go on, if it can."""
        if self.written:
            print(f"kept in {self.folder}: the same command with --resume goes on")

    # === Records ===

    def save(self, name, facts, arrays=()):
        """Writes a checkpoint: a dict for JSON, and a dict of arrays."""
        if not self._may_write():
            return
        try:
            with replacing(self.folder / f"{name}.npz") as file:
                np.savez(file, facts=np.array(json.dumps(facts)), **dict(arrays))
            self._write_index()
        except OSError as error:
            warn(f"no checkpoint written into {self.folder}: {one_line(error)}")

    def _may_write(self):
        """Returns whether the folder is this training's; makes it at first."""
        if not self._writes:
            return False
        try:
            if not self._claimed:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.mkdir(parents=True)
                self._write_index()
                self._claimed = True
            elif not self._owns():
                self._writes = False
                warn(f"another process writes {self.folder}: no more checkpoints here")
        except OSError as error:
            warn(f"no checkpoint written into {self.folder}: {one_line(error)}")
            return False
        return self._writes

    def _owns(self):
        with contextlib.suppress(UserError):
            found = self._read_index(resume=True)
            return found is not None and found["owner"] == self._owner
        return False

    def load(self, name):
        """Returns the facts and arrays of a checkpoint, or None where there is none.

        One that cannot be read gives a warning and counts as none.
        """
        path = self.folder / f"{name}.npz"
        if not self._claimed or not path.exists():
            return None
        try:
            with open(path, "rb") as opened:
                file = np.load(opened, allow_pickle=False)
                arrays = {key: file[key] for key in file.files}
            return json.loads(str(arrays.pop("facts"))), arrays
        except Exception as error:  # a damaged archive fails in many ways
            warn(f"{path} is damaged and not used: {one_line(error, 200)}")
            return None

    def save_epoch(self, run, epoch, facts, arrays):
        """Writes the checkpoint of an epoch and removes all but the last two."""
        self.save(f"{run}-epoch{epoch}", facts, arrays)
        self._remove_epochs(run, epoch - KEPT_EPOCHS)

    def load_epoch(self, run):
        """Returns the last checkpoint of a run that can be read, or None."""
        for epoch in sorted(self._epochs(run), reverse=True):
            found = self.load(f"{run}-epoch{epoch}")
            if found is not None:
                return found
        return None

    def finish(self, run, facts, arrays):
        """Writes a run that has come to its end, which needs no epochs any more."""
        self.save(run, facts, arrays)
        if self._claimed and (self.folder / f"{run}.npz").exists():
            self._remove_epochs(run)

    def load_finished(self, run):
        """Returns a run that has come to its end, or None."""
        found = self.load(run)
        if found is not None:
            self._remove_epochs(run)
        return found

    def _epochs(self, run):
        """Returns the epochs of which a run has a checkpoint."""
        if not self._claimed or not self._writes:
            return []
        pattern = re.compile(re.escape(run) + r"-epoch(\d+)\.npz")
        names = [pattern.fullmatch(path.name) for path in self.folder.glob("*.npz")]
        return [int(name[1]) for name in names if name]

    def _remove_epochs(self, run, last=None):
        """Removes the epochs of a run, up to the last one that is named."""
        for epoch in self._epochs(run):
            if last is None or epoch <= last:
                with contextlib.suppress(OSError):
                    os.remove(self.folder / f"{run}-epoch{epoch}.npz")

    def note(self, name, text):
        """Writes a small text beside the checkpoints, if there are any."""
        if self._claimed and self._may_write():
            with replacing(self.folder / name) as file:
                file.write(text.encode("ascii"))

    def close(self):
        """Removes the folder once the training is published."""
        if self._claimed and self._owns():
            shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def replacing(path):
    """Gives an open file that takes a path's place once it is on the disk.

    Args:
        path: The path.

    Yields:
        The file, open for bytes.
    """
    scratch = path.with_name(f".{path.name}.part")
    try:
        with open(scratch, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(scratch)
        raise


def sync_folder(folder):
    """Brings a rename to the disk, on systems that can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def warn(message):
    """Prints a warning on stderr."""
    print(f"attention-zoo: warning: {message}", file=sys.stderr, flush=True)
