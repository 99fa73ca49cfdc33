"""Random SIGKILLs over small trainings, as `make soak` runs them.

    python tests/soak/kills.py [KILLS [SEED [KIND...]]]

So many for each kind of task: text, images, series and translation. Each process goes
on where the one before was killed, at a moment drawn uniformly from the time that a
whole training takes. Every entry that comes out must equal that of the training without
kills; none may be lost; nothing hidden may stay behind a run's end.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
import zipfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401
import h5py
import numpy as np
from support import killed_training as small


def start(out, log, kind):
    """Starts the training in a forked process and returns its id."""
    process = os.fork()
    if not process:
        os.setsid()  # so that what it starts dies with it
        code = small.forked(lambda: small.train(out, kind=kind), log)
        os._exit(code if code >= 0 else 1)
    return process


def contents(entry):
    """Returns metrics, history without seconds, and weights of an entry."""
    card = json.loads((entry / "card.json").read_text(encoding="utf-8"))
    model = (entry / "model.keras").read_bytes()
    assert card["sha256"] == hashlib.sha256(model).hexdigest(), "a half-written entry"
    assert "failed_steps" not in card, card["failed_steps"]
    rows = (entry / "history.csv").read_text(encoding="utf-8").splitlines()
    weights: dict = {}

    def take(name, x):
        if isinstance(x, h5py.Dataset) and x.dtype != object:
            weights[name] = x[()]

    archive = zipfile.ZipFile(entry / "model.keras")
    with archive, archive.open("model.weights.h5") as file, h5py.File(file) as held:
        held.visititems(take)
    return card["metrics"], [row.rsplit(",", 1)[0] for row in rows], weights


def check_equal(entry, whole):
    """Asserts that an entry equals that of the training without kills."""
    metrics, history, weights = contents(entry)
    assert (metrics, history) == whole[:2]
    assert weights.keys() == whole[2].keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(value, whole[2][name], err_msg=name)


def kill_and_resume(kind, kills, draw):
    """Kills and resumes the training of a kind; prints what was seen, or fails."""
    recipe, killed, ended, done = small.RECIPES[kind], 0, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        log, out, began = scratch / "log", scratch / "killed", time.monotonic()
        os.waitpid(start(scratch / "whole", log, kind), 0)
        seconds = time.monotonic() - began
        assert (scratch / "whole" / recipe).exists(), log.read_text(encoding="utf-8")
        whole, entry = contents(scratch / "whole" / recipe), out / recipe
        while killed < kills or not done:
            process = start(out, log, kind)
            until = time.monotonic() + draw.uniform(0, seconds)
            done = 0
            while not done and (killed >= kills or time.monotonic() < until):
                time.sleep(0.01)
                done, status = os.waitpid(process, os.WNOHANG)
            if not done:
                kill_all(process)
                killed += 1
            else:
                code = os.waitstatus_to_exitcode(status)
                assert code == 0, log.read_text(encoding="utf-8")
                check_equal(entry, whole)
                assert [file.name for file in out.iterdir()] == [recipe]
                ended += 1
            if ended:  # or aside, between two renames, until the next run
                aside = [*out.glob(f".{recipe}.*/previous")]
                assert entry.exists() or aside, "an entry was lost"
        print(
            f"{kind}: {killed} kills, {ended} trainings came to their end with the "
            f"metrics {whole[0]}, the history and the weights of the one without kills "
            f"({seconds:.0f} s); no entry lost, nothing hidden left behind",
            flush=True,
        )


def kill_all(process):
    """Kills a process and what it started."""
    with contextlib.suppress(ProcessLookupError):  # it has just begun
        os.killpg(process, signal.SIGKILL)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def main(kills=20, seed=0, *kinds):
    """Kills and resumes the trainings of all kinds, or of some."""
    draw = random.Random(int(seed))
    for kind in kinds or small.RECIPES:
        kill_and_resume(kind, int(kills), draw)


if __name__ == "__main__":
    main(*sys.argv[1:])
