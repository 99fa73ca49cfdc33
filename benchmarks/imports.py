"""What an import costs: the package and its command against Keras alone.

    python -m benchmarks imports [--repeats 15]

Every program runs in a fresh process, in turn with the others, and the median of the
processor's seconds counts: they hardly depend on what else the machine does. Promised:
`import attention_zoo` at most 10 % over `import keras`, the command's `--help` and
`list` at most 20 % over it.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

COMMAND = "from attention_zoo.recipes._cli import main; main([{!r}])"
PROGRAMS = {
    "import keras": ("import keras", None),
    "import attention_zoo": ("import attention_zoo", 1.10),
    "attention-zoo --help": (COMMAND.format("--help"), 1.20),
    "attention-zoo list": (COMMAND.format("list"), 1.20),
}


def seconds(program):
    """Returns a fresh process's seconds by the clock and of the processor."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    clock = time.perf_counter() - start
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks imports")
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args(arguments).repeats
    for program, _ in PROGRAMS.values():
        seconds(program)  # fills the caches of files and of bytecode
    times = {name: [] for name in PROGRAMS}
    for _ in range(repeats):
        for name, (program, _) in PROGRAMS.items():
            times[name].append(seconds(program))
    base = statistics.median(cpu for _, cpu in times["import keras"])
    kept = True
    print(f"{'':24}{'clock s':>9}{'cpu s':>7}{'ratio':>7}{'limit':>7}")
    for name, (_, limit) in PROGRAMS.items():
        clock, cpu = (
            statistics.median(column) for column in zip(*times[name], strict=True)
        )
        kept = kept and (limit is None or cpu / base <= limit)
        shown = f"{limit:7.2f}" if limit else ""
        print(f"{name:24}{clock:9.2f}{cpu:7.2f}{cpu / base:7.2f}{shown}")
    return 0 if kept else 1
