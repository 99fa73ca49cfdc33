"""Processes of this command on the same machine."""

import contextlib
import os
import subprocess
import sys
import threading
import time

PROGRAM = (sys.executable, "-m", "attention_zoo.recipes.cli.main")
PARENT = "ATTENTION_ZOO_PARENT"  # the process that a local one must not outlive


def start(words, stdout=None, stderr=subprocess.STDOUT, **environment):
    """Starts `attention-zoo` with some arguments, and returns the process."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        env=os.environ | {PARENT: str(os.getpid())} | environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is for this process
    )


def is_child():
    """Returns whether `start` has started this process."""
    return os.environ.get(PARENT) == str(os.getppid())


def die_with_parent():
    """Ends this process soon after the one that started it, if one did."""

    def watch():
        while is_child():
            time.sleep(1)
        os._exit(1)

    if is_child():
        threading.Thread(target=watch, daemon=True).start()


def how_it_ended(code):
    """Returns how a process ended, from its exit code."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def last_words(log):
    """Returns the last line of a log, without the command's own prefix."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return (lines or [""])[-1].removeprefix("attention-zoo: error: ")


def stop(processes, seconds=10):
    """Ends the processes that are left, by force those that take longer."""
    for process in processes:
        process.terminate()
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()
