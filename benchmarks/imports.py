"""What an import costs: the package and its command against Keras alone.

    python -m benchmarks imports [--rounds 15] [--smoke]

Fresh processes in turn; the median of the processor's seconds counts, which hardly
depends on what else the machine does.
"""

import os
import resource
import statistics
import subprocess
import sys
import time

from benchmarks import _method

COMMAND = "from attention_zoo.recipes.cli.main import main; main([{!r}])"
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


def race(_, options):
    """Returns the rows of all programs, which take turns."""
    programs = dict(list(PROGRAMS.items())[1:2]) if options.smoke else PROGRAMS
    times = {name: [] for name in programs}
    filling = not options.smoke  # a round fills the caches of files and of bytecode
    for number in range(options.rounds + filling):
        for name, (program, _) in programs.items():
            taken = seconds(program)
            times[name] += [taken] if number >= filling else []
    base = statistics.median(cpu for _, cpu in next(iter(times.values())))
    rows = []
    for name, (_, limit) in programs.items():
        columns = zip(*times[name], strict=True)
        clock, cpu = (statistics.median(column) for column in columns)
        row = {"program": name, "clock_s": round(clock, 2), "cpu_s": round(cpu, 2)}
        row |= {"to_keras": round(cpu / base, 3), "promised": limit or ""}
        rows.append(row)
    return rows


def kept(rows):
    """Returns whether each program takes no more than was promised."""
    return all(row["to_keras"] <= (row["promised"] or 1) for row in rows)


main = _method.Race(
    "imports", __doc__, race, ("programs",), rounds=15, smoke_rounds=1, kept=kept
)
