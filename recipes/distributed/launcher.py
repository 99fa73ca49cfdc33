"""The flags of several processes, and `--launch N`: all of them on this machine."""

import argparse
import contextlib
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
from attention_zoo.recipes.distributed import processes as _processes
from attention_zoo.recipes.distributed.rendezvous import parse_address
from attention_zoo.recipes.engine.execution import ON_JAX

GRACE_SECONDS = 3  # for the others to end by themselves once one has
LOADED_SECONDS = 3600  # local processes are watched, and may start slowly
SHOWN_LINES = 15  # of what a process printed before it failed
CUDA_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


def add_arguments(command):
    """Adds which processes take part in a training on JAX."""
    command.add_argument(
        "--launch",
        type=int,
        metavar="N",
        help="starts N processes on this machine, and implies data_parallel",
    )
    command.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="where process 0 of several listens; implies data_parallel",
    )
    command.add_argument(
        "--num-processes", type=int, metavar="N", help="how many processes there are"
    )
    command.add_argument(
        "--process-id", type=int, metavar="I", help="which one this is, from 0 on"
    )
    command.add_argument(
        "--coordinator-timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long processes wait for each other (default: 60)",
    )
    # Process 0 of a training on JAX starts itself again with it, on TensorFlow.
    command.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)


def check_flags(args):
    """Checks the flags of a training on JAX, and sets what they imply.

    Args:
        args: The parsed arguments of `train`. `distribute` is set.
    """
    named = ("coordinator", "num_processes", "process_id")
    given = [name for name in named if getattr(args, name) is not None]
    several = given or args.launch is not None
    if not several and args.distribute not in ON_JAX:
        return
    if several and args.distribute not in (None, ON_JAX[0]):
        raise UserError(
            f"--distribute {args.distribute} is of one process: several take "
            f"--distribute {ON_JAX[0]}"
        )
    if args.launch is not None and given:
        raise UserError(
            f"--launch starts all processes on this machine: leave out {flag(given[0])}"
        )
    if args.launch is not None and args.launch < 1:
        raise UserError(f"--launch must be positive, received {args.launch}")
    if given and len(given) < len(named):
        missing = next(name for name in named if name not in given)
        raise UserError(
            f"{', '.join(map(flag, named))} go together: {flag(missing)} is missing"
        )
    if given:
        check_place(args)
    if args.deterministic or args.jit is False:
        raise UserError(
            f"{'--deterministic' if args.deterministic else '--no-jit'} is of "
            "TensorFlow, and JAX trains here: leave it out"
        )
    if importlib.util.find_spec("jax") is None:
        raise UserError(
            "this needs the package 'jax': pip install 'attention-zoo[recipes,jax]'"
        )
    args.distribute = args.distribute or ON_JAX[0]


def check_place(args):
    """Checks the address and this process's place among the others."""
    parse_address(args.coordinator)
    if args.num_processes < 1:
        raise UserError(
            f"--num-processes must be positive, received {args.num_processes}"
        )
    if not 0 <= args.process_id < args.num_processes:
        raise UserError(
            f"--process-id must be from 0 to {args.num_processes - 1} with "
            f"--num-processes {args.num_processes}, received {args.process_id}"
        )
    seconds = args.coordinator_timeout
    if not 0 < seconds < math.inf:
        raise UserError(f"--coordinator-timeout must be positive, received {seconds}")


def flag(name):
    """Returns the flag of an argument."""
    return f"--{name.replace('_', '-')}"


def train_on_jax(args, recipe, seeds, out, options):
    """Trains on this process's part of the devices; process 0 then publishes."""
    import keras

    backend = keras.config.backend()
    if backend != "jax":
        raise UserError(
            f"--distribute {args.distribute} needs Keras on JAX, and it runs on "
            f"{backend}: set KERAS_BACKEND=jax"
        )
    from attention_zoo.recipes.distributed import hosts as _hosts

    if _hosts.train(recipe, seeds, args.data_dir, out, args.smoke, options):
        _hosts.hand_over(args.words)
    return 0


def without_launch(words):
    """Returns the arguments of a command without `--launch N`."""
    kept, words = [], iter(words)
    for word in words:
        if word == "--launch":
            next(words, None)
        elif not word.startswith("--launch="):
            kept.append(word)
    return kept


def launch(words, count):
    """Starts a training on local processes and waits for its end.

    Args:
        words: List of the arguments of `attention-zoo`.
        count: Number of processes.

    Returns:
        The exit code.
    """
    words, address = without_launch(words), f"127.0.0.1:{free_port()}"
    groups = share_out(gpus(), count)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        logs = [pathlib.Path(scratch, f"{i}.log") for i in range(count)]
        processes: list = []
        stack.callback(_processes.stop, processes)
        for i, log in enumerate(logs):
            given = ["--coordinator", address, "--num-processes", count]
            given += ["--process-id", i, "--coordinator-timeout", LOADED_SECONDS]
            output = None if i == 0 else stack.enter_context(open(log, "wb"))
            processes.append(
                subprocess.Popen(
                    [*_processes.PROGRAM, *words, *map(str, given)],
                    env=environment_of(groups[i]),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=None if i == 0 else subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for this process
                )
            )
        failed = wait(processes)
        if failed is None:
            return 0
        first = processes[0].poll()
        if processes[failed].returncode == 2 and first == 2:
            return 2  # process 0 has said why
        _processes.stop(processes)
        if failed:
            show(failed, logs[failed])
        how = _processes.how_it_ended(processes[failed].returncode)
        raise UserError(
            f"process {failed} of {count} ended with {how}, the others are stopped; "
            "the same command with --resume goes on from the last checkpoint"
        )


def wait(processes):
    """Returns the number of the process that failed first, or None.

    Others get a few seconds to end too, since one that ends in good order tells them.
    """
    failed, until = None, math.inf
    while True:
        codes = [process.poll() for process in processes]
        if failed is None and any(codes):
            # One that was killed comes before those that have lost it.
            failed = codes.index(min(code for code in codes if code))
            until = time.monotonic() + GRACE_SECONDS
        if None not in codes or time.monotonic() > until:
            return failed
        if failed is not None and codes[failed] != 2:
            return failed
        time.sleep(0.05)


def show(process, log):
    """Shows the last lines of a process that was silent."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines[-SHOWN_LINES:]:
        print(f"[{process}] {line}", file=sys.stderr)


def free_port():
    """Returns a port of this machine that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def environment_of(devices):
    """Returns the environment of a process with some GPUs, or with None for all."""
    chosen = {"KERAS_BACKEND": "jax", _processes.PARENT: str(os.getpid())}
    if devices is not None:
        chosen["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    return os.environ | chosen


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
    if not devices:
        return [None] * count
    if len(devices) % count:
        raise UserError(
            f"{len(devices)} GPUs do not divide among {count} processes; "
            "JAX_PLATFORMS=cpu trains on the CPU"
        )
    own = len(devices) // count
    return [devices[i * own : (i + 1) * own] for i in range(count)]
