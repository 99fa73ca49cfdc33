"""How every race is run: one method, one form of results.

- Threads are pinned before anything is imported: `--threads`, by default all cores.
- Contestants take turns, in alternating order, after a warm-up. A row gives the median
  time of each, the median of the ratios of neighbouring turns and its quartiles.
- A point of memory is a process of its own: what a step adds at most, by the kernel's
  high-water mark, after a small step, and after tracing.
- `gflops` is the arithmetic of a step over its time; the roof is what a matrix product
  of this machine reaches in the same process.
- `write` keeps the rows as CSV, the machine as JSON and the ratios as a picture.
"""

import argparse
import csv
import ctypes
import datetime
import gc
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import platform
import statistics
import time
from concurrent import futures

RESULTS = pathlib.Path("benchmarks/results")
VERSIONED = ("tensorflow", "keras", "jax", "torch", "timm", "numpy")
COMPARISON = ("ours_ms", "other_ms", "ratio", "quartile_1", "quartile_3")


def parse(name, arguments, summary, extend=None):
    """Returns the options of a race and pins the threads; call it before any import.

    Args:
        name: String, the module of the race.
        arguments: List of strings of the command line.
        summary: String, one line about the race.
        extend: Function that adds arguments to the parser.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}", description=summary
    )
    parser.add_argument("--smoke", action="store_true", help="seconds, writes nothing")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="of each library"
    )
    parser.add_argument(
        "--backend",
        choices=["tensorflow", "jax"],
        default=os.environ.get("KERAS_BACKEND", "tensorflow"),
        help="of Keras; on a GPU it is jax",
    )
    if extend:
        extend(parser)
    options = parser.parse_args(arguments)
    os.environ["KERAS_BACKEND"] = options.backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(options.threads)
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(options.threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = str(options.threads)
    return options


def take_turns(contestants, rounds, warm_up=3):
    """Times contestants in alternating order.

    Args:
        contestants: Dict of names to functions without arguments, which return when
            the work is done.
        rounds: Integer, timed calls of each.
        warm_up: Integer, calls of each before, which trace and compile.

    Returns:
        Dict of names to lists of seconds, neighbours in time at the same index.
    """
    seconds = {name: [] for name in contestants}
    for i in range(warm_up + rounds):
        for name in list(contestants)[:: 1 if i % 2 else -1]:
            start = time.perf_counter()
            contestants[name]()
            if i >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def race(contestants, rounds, seconds=4.0):
    """Times contestants as `take_turns` does, in fewer rounds where steps are long.

    Args:
        contestants: As in `take_turns`; each has been called before, and has traced.
        rounds: Integer, the most timed calls of each.
        seconds: Float, about what the rounds may take together; 3 are always taken, 2
            where a round is above 5 s.
    """
    first = take_turns(contestants, 1, 0)
    once = sum(taken[0] for taken in first.values())
    if 3 * once > seconds:
        more = take_turns(contestants, 1 if once > 5 else 2, 0)
        return {name: [*first[name], *more[name]] for name in contestants}
    return take_turns(contestants, min(rounds, int(seconds / once)))


def compare(ours, other):
    """Returns medians in ms, the median ratio ours / other and its quartiles, a dict.

    Args:
        ours: List of seconds.
        other: List of seconds, taken in turn with `ours`.
    """
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    medians = [median_ms(seconds) for seconds in (ours, other)]
    ratios = [float(f"{figure:.4g}") for figure in (middle, low, high)]
    return dict(zip(COMPARISON, medians + ratios, strict=True))


def median_ms(seconds):
    """Returns the median of a list of seconds in ms, to four digits."""
    return float(f"{1000 * statistics.median(seconds):.4g}")


def roof(size=1024, rounds=15):
    """Returns the GFLOP/s of a float32 matrix product here, PyTorch's."""
    import torch

    a = torch.ones(size, size)
    seconds = take_turns({"product": lambda: a @ a}, rounds)["product"]
    return 2 * size**3 / statistics.median(seconds) / 1e9


def resident(field):
    """Returns `VmRSS` or `VmHWM` of this process in megabytes."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024


def measure_peak(work):
    """Returns the megabytes that `work()` adds at most to what the process holds."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system
    before = resident("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    work()
    return resident("VmHWM") - before


def in_a_process(function, *arguments):
    """Calls `function` in a process of its own and returns its result.

    The process is forked off one that has imported the libraries and run nothing in
    them, so that it starts at once. Function and arguments are pickled.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras", "attention_zoo.layers", "torch"])
    with futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def machine(threads):
    """Returns the date, the machine and the versions of what is installed, a dict."""
    versions = {"python": platform.python_version()}
    for package in VERSIONED:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow"),
        "versions": versions,
    }


def _cpu():
    """Returns the name of the processor."""
    file = pathlib.Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def report(rows):
    """Prints rows, a dict each, as lines of a table."""
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def write(name, rows, options, title, **more):
    """Writes `results/NAME.csv`, `.json` and, where rows hold ratios, `.png`.

    Args:
        name: String, the race.
        rows: List of dicts with the same keys; they are the columns, in that order.
        options: What `parse` returned; a smoke run writes nothing.
        title: String, over the picture.
        **more: Further entries of the JSON, such as `roof_gflops`.
    """
    if options.smoke:
        return
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    about = json.dumps({**machine(options.threads), **more}, indent=1)
    (RESULTS / f"{name}.json").write_text(about + "\n", encoding="utf-8")
    if "ratio" in rows[0]:
        plot_ratios(rows, title, RESULTS / f"{name}.png")


def label(row):
    """Returns what a row is about: its columns before the first figure."""
    words = []
    for key, value in row.items():
        if key in COMPARISON:
            break
        words.append(str(value) if isinstance(value, str) else f"{key} {value}")
    return ", ".join(words)


def plot_ratios(rows, title, path):
    """Draws the ratios ours / other with their quartiles, 1 as a line."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    rows = [row for row in rows if row["ratio"] not in ("", None)]
    figure = Figure(figsize=(8, 1.2 + 0.26 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for i, row in enumerate(rows):
        middle = row["ratio"]
        color = "tab:green" if middle <= 1 else "tab:red"
        spread = [[middle - row["quartile_1"]], [row["quartile_3"] - middle]]
        axes.errorbar(middle, i, xerr=spread, fmt="o", color=color, capsize=2)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [label(row) for row in rows], fontsize=7)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="time, ours / other; left of the line ours is faster")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(y=0.5 / len(rows))
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3, axis="x")
    figure.savefig(path, dpi=110)
