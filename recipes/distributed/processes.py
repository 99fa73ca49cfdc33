"""Processes of this command on the same machine."""

import os
import subprocess
import sys
import threading
import time

PROGRAM = (sys.executable, "-m", "attention_zoo.recipes.cli.main")
PARENT = "ATTENTION_ZOO_PARENT"  # the process that a local one must not outlive


def die_with_parent():
    """Ends this process soon after the one that started it, if one did."""
    parent = int(os.environ.get(PARENT, 0))

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if parent:
        threading.Thread(target=watch, daemon=True).start()


def how_it_ended(code):
    """Returns how a process ended, from its exit code."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def stop(processes, seconds=10):
    """Ends the processes that are left, by force those that take longer."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
