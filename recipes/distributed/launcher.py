"""Starts the processes of a training on JAX, and says in one line why one failed.

JAX ends a process hard where others do not come, so that even a single one is started
and watched by the command that the user has called.
"""

import contextlib
import dataclasses
import importlib.util
import math
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from attention_zoo.recipes.core.errors import UserError
from attention_zoo.recipes.distributed import processes

GRACE_SECONDS = 8  # for the others to end by themselves once one has
LOADED_SECONDS = 3600  # local processes are watched, and may start slowly
SHOWN_LINES = 15  # of what a process printed before it failed
AUTO = "auto"  # coordinator: as Slurm or Open MPI tell JAX
PLACE = ("coordinator", "num_processes", "process_id")
CUDA_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


def check(options, recipe):
    """Checks the flags of a training on JAX.

    Args:
        options: The `Options`.
        recipe: The `Recipe`.

    Returns:
        The `Options` with what the flags imply.
    """
    given = [name for name in PLACE if getattr(options, name) is not None]
    several = bool(given) or options.launch is not None
    if not several and not options.on_jax:
        return options
    if several and options.distribute not in (None, "data_parallel"):
        raise UserError(
            f"--distribute {options.distribute} is of one process: several take "
            "--distribute data_parallel"
        )
    if options.launch is not None and given:
        raise UserError(
            f"--launch starts all processes on this machine: leave out {flag(given[0])}"
        )
    if options.launch is not None and options.launch < 1:
        raise UserError(f"--launch must be positive, received {options.launch}")
    if given and options.coordinator != AUTO:
        check_place(options, given)
    if options.deterministic or options.jit is False:
        raise UserError(
            f"{'--deterministic' if options.deterministic else '--no-jit'} is of "
            "TensorFlow, and JAX trains here: leave it out"
        )
    count = options.launch or options.num_processes or 1
    if recipe.batch_size % count:
        raise UserError(
            f"batch_size {recipe.batch_size} does not divide among {count} processes: "
            f"give --set batch_size={-(-recipe.batch_size // count) * count}"
        )
    if importlib.util.find_spec("jax") is None:
        raise UserError(
            "this needs the package 'jax': pip install 'attention-zoo[recipes,jax]'"
        )
    how = options.distribute or "data_parallel"
    return dataclasses.replace(options, distribute=how)


def check_place(options, given):
    """Checks the address and this process's place among the others."""
    missing = [flag(name) for name in PLACE if name not in given]
    if missing:
        raise UserError(
            f"{', '.join(map(flag, PLACE))} go together: {missing[0]} is missing"
        )
    host, _, port = options.coordinator.rpartition(":")
    odd = not host or any(c.isspace() or c in "/@" for c in host)
    if odd or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(
            "--coordinator takes HOST:PORT, such as 10.0.0.1:12345, or auto, received "
            f"'{options.coordinator}'"
        )
    if options.num_processes < 1:
        raise UserError(
            f"--num-processes must be positive, received {options.num_processes}"
        )
    if not 0 <= options.process_id < options.num_processes:
        raise UserError(
            f"--process-id must be from 0 to {options.num_processes - 1} with "
            f"--num-processes {options.num_processes}, received {options.process_id}"
        )
    seconds = options.coordinator_timeout
    if not 0 < seconds < math.inf:
        raise UserError(f"--coordinator-timeout must be positive, received {seconds}")


def flag(name):
    """Returns the flag of an argument."""
    return f"--{name.replace('_', '-')}"


def launch(words, options, trained=lambda: False):
    """Starts the processes of a training on this machine and waits for their end.

    Args:
        words: List of the arguments of `attention-zoo`.
        options: The `Options`.
        trained: Function that says whether only the publication is missing.

    Returns:
        The exit code.
    """
    count = options.launch or 1
    places: list = [[]]
    if options.process_id == 0 and options.coordinator != AUTO:
        check_port(options.coordinator)
    if options.launch is not None:
        words, address = without_launch(words), f"127.0.0.1:{free_port()}"
        shared = ["--coordinator", address, "--num-processes", count]
        shared += ["--coordinator-timeout", LOADED_SECONDS]
        places = [[*shared, "--process-id", i] for i in range(count)]
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        logs = [pathlib.Path(scratch, f"{i}.log") for i in range(count)]
        running: list = []
        stack.callback(processes.stop, running)
        for i, devices in enumerate(share_out(gpus(), count)):
            log = stack.enter_context(open(logs[i], "wb"))
            environment = {"KERAS_BACKEND": "jax"}
            if devices is not None:
                environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
            output = log if i else None
            running.append(
                processes.start([*words, *places[i]], output, log, **environment)
            )
        failed = wait(running)
        processes.stop(running)
        if failed is None:
            sys.stderr.write(logs[0].read_text(encoding="utf-8", errors="replace"))
            return 0
        code, log = running[failed].returncode, logs[failed]
        alone = why(log, options) if code < 0 else None
        if alone and options.resume and not options.process_id and trained():
            return publish(words)  # killed while it published: the others have ended
        if alone or code == 2:
            raise UserError(alone or processes.last_words(log))
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[-SHOWN_LINES:]:
            print(f"[{failed}] {line}", file=sys.stderr)
        who = f"{options.process_id or failed} of {options.num_processes or count}"
        how = processes.how_it_ended(code)
        others = ", the others are stopped" * (count > 1)
        raise UserError(
            f"process {who} ended with {how}{others}; the same "
            "command with --resume goes on from the last checkpoint"
        )


def why(log, options):
    """Returns why JAX has ended a process before the training, or None."""
    said, place = log.read_text(encoding="utf-8", errors="replace"), options.coordinator
    if "ALREADY_EXISTS" in said:
        return (
            f"two processes have --process-id {options.process_id}: each needs its "
            f"own, from 0 to {options.num_processes - 1}"
        )
    if "DEADLINE_EXCEEDED" in said and "RegisterTask" in said:
        return (
            f"not all {options.num_processes or ''} processes have come to the "
            f"coordinator {place} in {options.coordinator_timeout:g} s: is process 0 "
            "running there, and each of the others? --coordinator-timeout waits longer"
        )
    return None


def publish(words):
    """Publishes the trained runs in a process on TensorFlow; returns its exit code."""
    words = [*words, "--publish"]
    return processes.start(words, None, None, KERAS_BACKEND="tensorflow").wait()


def wait(running):
    """Returns the number of the process that failed first, or None.

    Others get a few seconds to end too, since one that ends in good order tells them.
    """
    until = math.inf
    while True:
        codes = [process.poll() for process in running]
        failures = [code for code in codes if code]
        if None not in codes or (failures and time.monotonic() > until):
            # One that was killed comes before those that have lost it.
            return codes.index(min(failures)) if failures else None
        if failures and min(failures) < 0:
            return codes.index(min(failures))
        if failures:
            until = min(until, time.monotonic() + GRACE_SECONDS)
        time.sleep(0.05)


def without_launch(words):
    """Returns the arguments of a command without `--launch N`."""
    kept, words = [], iter(words)
    for word in words:
        if word == "--launch":
            next(words, None)
        elif not word.startswith("--launch="):
            kept.append(word)
    return kept


def check_port(coordinator):
    """Raises `UserError` where process 0 cannot listen on the coordinator's port."""
    port = int(coordinator.rpartition(":")[2])
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise UserError(
            f"process 0 cannot listen on port {port} of --coordinator {coordinator} "
            f"({error.strerror}): give all processes a free port"
        ) from None


def free_port():
    """Returns a port of this machine that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def gpus():
    """Returns the names of the GPUs that JAX would take, as CUDA knows them."""
    if os.environ.get("JAX_PLATFORMS", "cuda") not in ("cuda", "gpu"):
        return []
    if not any(importlib.util.find_spec(name) for name in CUDA_PLUGINS):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return [str(i) for i in range(listed.stdout.count("GPU "))]


def share_out(devices, count):
    """Returns a list of devices for each process, or None for each without a GPU."""
    if not devices or count == 1:
        return [None] * count
    if len(devices) % count:
        raise UserError(
            f"{len(devices)} GPUs do not divide among {count} processes; "
            "JAX_PLATFORMS=cpu trains on the CPU"
        )
    own = len(devices) // count
    return [devices[i * own : (i + 1) * own] for i in range(count)]
