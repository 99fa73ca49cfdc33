"""What the processes of one training on JAX say to each other.

All of them connect, agree that they can begin, and read the checkpoints of process 0.
When one fails, it ends at once, and JAX tells the others.
"""

import contextlib
import dataclasses
import io
import json
import os
import sys
import time
import traceback

import jax
import numpy as np
from jax.experimental import multihost_utils

from attention_zoo.recipes.core.errors import UserError, differences, one_line
from attention_zoo.recipes.distributed import devices, launcher

FAREWELL_SECONDS = 1  # for the others to say why they end


def connect(options):
    """Connects the processes by JAX; returns the `Options` with this one's place."""
    if options.coordinator is None:
        return options
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM for news, and the process would not end.
    jax.config.update("jax_enable_preemption_service", False)
    auto = options.coordinator == launcher.AUTO
    try:
        jax.distributed.initialize(
            None if auto else options.coordinator,
            options.num_processes,
            options.process_id,
            initialization_timeout=max(1, round(options.coordinator_timeout)),
        )
    except (RuntimeError, ValueError) as error:
        if auto and isinstance(error, ValueError):
            raise UserError(
                "--coordinator auto finds neither Slurm nor Open MPI: give HOST:PORT, "
                "--num-processes and --process-id"
            ) from error
        raise UserError(
            f"--coordinator {options.coordinator} cannot be used, its port may be in "
            f"use ({one_line(error, 160)}): give all processes a free port of process "
            "0's machine"
        ) from error
    jax.devices()  # all at once, as JAX waits for two minutes at most
    if not auto:
        return options
    return dataclasses.replace(
        options, num_processes=jax.process_count(), process_id=jax.process_index()
    )


def check_devices(recipe, options):
    """Checks the batch against the devices of all processes, and says what they are."""
    total, count = jax.device_count(), jax.process_count()
    if options.distribute == "data_parallel":
        devices.check_batch(recipe, total)
    owners = [device.process_index for device in jax.devices()]
    if {owners.count(process) for process in range(count)} != {total // count}:
        raise UserError(
            f"{total} devices are not shared out evenly to {count} processes: "
            "CUDA_VISIBLE_DEVICES gives each the same number"
        )
    print(
        f"{options.distribute} on {total} device{'s' * (total != 1)} of {count} "
        f"process{'es' * (count != 1)}",
        flush=True,
    )


def agreed(work, facts):
    """Runs a function in all processes; what one raises ends all with its line.

    Args:
        work: Function without arguments.
        facts: Dict of dicts that must be the same in all processes.
    """
    done, problem = None, None
    try:
        done = work()
    except UserError as error:
        problem = one_line(error)
    said = gather({"facts": facts, "problem": problem})
    for process, other in enumerate(said):
        others = differences(said[0]["facts"], other["facts"], "{} is {}, there {}")
        if others:
            raise UserError(
                f"process {process} has another command or other packages than "
                f"process 0: {'; '.join(others[:3])}"
            )
    for process, other in enumerate(said):
        if other["problem"]:
            prefix = "" if len(said) == 1 else f"process {process}: "
            raise UserError(prefix + other["problem"])
    return done


def gather(value):
    """Returns the values of all processes, a list of what JSON can hold."""
    content = np.frombuffer(json.dumps(value).encode(), "uint8")
    sizes = multihost_utils.process_allgather(np.int32(len(content))).reshape(-1)
    padded = np.zeros(int(sizes.max()), "uint8")
    padded[: len(content)] = content
    rows = multihost_utils.process_allgather(padded).reshape(len(sizes), -1)
    return [
        json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)
    ]


@contextlib.contextmanager
def ending_all(count, kept=None):
    """Ends the process at once when the block fails, as the others cannot go on.

    Without it JAX waits for minutes for those that have ended.
    """
    try:
        yield
    except BaseException as error:
        if count == 1:
            raise
        code, message = 2, one_line(error)
        if isinstance(error, KeyboardInterrupt):
            code, message = 130, "interrupted"
        elif isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in str(error):
            message = f"another process was lost, or JAX failed: {one_line(error, 160)}"
        elif not isinstance(error, UserError):
            code = 1
            traceback.print_exc()
        print(f"attention-zoo: error: {message}", file=sys.stderr)
        if kept:
            kept.tell()
        sys.stdout.flush()
        sys.stderr.flush()
        if jax.process_index() == 0:  # JAX ends the others hard when it goes
            time.sleep(FAREWELL_SECONDS)
        os._exit(code)


# === Checkpoints ===


class BroadcastCheckpoints:
    """The checkpoints of process 0, which the others read over the network.

    Args:
        own: The `Checkpoints` in process 0; in the others something false.
    """

    def __init__(self, own):
        self._own = own

    @property
    def folder(self):
        """The hidden folder, for messages."""
        return self._own.folder if self._own else "process 0"

    def load_finished(self, run):
        """Returns a run that has come to its end, or None."""
        return sent_to_all(self._own and self._own.load_finished(run))

    def load_epoch(self, run):
        """Returns the last checkpoint of a run, or None."""
        return sent_to_all(self._own and self._own.load_epoch(run))

    def save_epoch(self, *record):
        """Writes the checkpoint of an epoch."""
        if self._own:
            self._own.save_epoch(*record)

    def finish(self, *record):
        """Writes a run that has come to its end."""
        if self._own:
            self._own.finish(*record)


def sent_to_all(record):
    """Returns the record of process 0, facts and arrays or None, in all processes."""
    content = b""
    if record:
        file, (facts, arrays) = io.BytesIO(), record
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)
        content = file.getvalue()
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    if not size:
        return None
    held = np.zeros(size, "uint8")
    held[: len(content)] = np.frombuffer(content, "uint8")
    held = np.asarray(multihost_utils.broadcast_one_to_all(held))
    arrays = dict(np.load(io.BytesIO(held.tobytes()), allow_pickle=False))
    return json.loads(str(arrays.pop("facts"))), arrays
