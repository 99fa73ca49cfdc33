"""How every race is run: one method, one command line, one form of results.

- Threads are pinned before anything is imported: `--threads`, by default all cores.
- Contestants take turns, in alternating order, after a warm-up. A row gives the median
  time of each, the median of the ratios of neighbouring turns and its quartiles.
- A point of memory is a process of its own: what a step adds at most, by the kernel's
  high-water mark, after a small step, and after tracing.
- `gflops` is the arithmetic of a step over its time; the roof is what a matrix product
  of this machine reaches in the same process.
- Rows are kept as CSV, the machine as JSON and the ratios as a picture.
"""

import argparse
import contextlib
import csv
import ctypes
import dataclasses
import datetime
import gc
import importlib.metadata
import json
import math
import multiprocessing
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable
from concurrent import futures

RESULTS = pathlib.Path("benchmarks/results")
VERSIONED = ("tensorflow", "keras", "jax", "torch", "timm", "numpy")
COMPARISON = ("ours_ms", "other_ms", "ratio", "quartile_1", "quartile_3")


@dataclasses.dataclass(frozen=True)
class Race:
    """A race; called with the arguments of its command line, it returns the status.

    Args:
        name: String, the module and the files of results.
        summary: String, the module's docstring.
        race: Function of one of `names` and the options to rows, a list of dicts.
        names: Tuple of strings, or a function that returns one. They run one after
            the other; `--only` picks one and writes nothing.
        smoke: Tuple of strings, those of a smoke run. Defaults to all.
        title: String, over the picture.
        rounds: Integer, the default of `--rounds`; `None`: there is no such option.
        smoke_rounds: Integer, of a smoke run. Defaults to `2`.
        flags: Dict of further options, without values, to their help.
        isolated: Boolean. Whether each name runs in a process of its own.
        complete: Function of the rows of a name and the options, which completes them.
        kept: Function of all rows: whether what was promised is kept.
        has_roof: Boolean. Whether the roof is written with the results.
        plot: Function of all rows and a path, which draws them. Defaults to
            their ratios.
    """

    name: str
    summary: str
    race: Callable
    names: tuple | Callable
    smoke: tuple = ()
    title: str = ""
    rounds: int | None = None
    smoke_rounds: int = 2
    flags: dict = dataclasses.field(default_factory=dict)
    isolated: bool = False
    complete: Callable | None = None
    kept: Callable = lambda rows: True
    has_roof: bool = False
    plot: Callable | None = None

    def __call__(self, arguments):
        options = self.parse(arguments)
        names = self.names() if callable(self.names) else self.names
        if options.only:
            if options.only not in names:
                print(f"{self.name}: no {options.only!r} among {', '.join(names)}")
                return 2
            names = (options.only,)
        elif options.smoke:
            names = self.smoke or names
        rows = []
        for name in names:
            alone = self.isolated and not options.smoke
            work = (self.race, name, options)
            new = in_a_process(*work) if alone else self.race(*work[1:])
            if self.complete and not options.smoke:
                self.complete(new, options)
            report(new)
            rows += new
        if options.smoke:
            return 0
        if rows and not options.only:
            more = {} if self.rounds is None else {"rounds": options.rounds}
            more |= {"roof_gflops": round(roof(), 1)} if self.has_roof else {}
            path = write(self.name, rows, options, **more)
            if self.plot:
                self.plot(rows, path)
            elif "ratio" in rows[0]:
                plot_ratios(rows, path, self.title)
        return 0 if self.kept(rows) else 1

    def parse(self, arguments):
        """Returns the options and pins the threads, before libraries are imported."""
        parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks {self.name}",
            description=self.summary.splitlines()[0],
        )
        flag = {"action": "store_true"}
        parser.add_argument("--smoke", help="seconds, writes nothing", **flag)
        parser.add_argument("--only", metavar="NAME", help="one; writes nothing")
        parser.add_argument(
            "--threads", type=int, default=os.cpu_count(), help="of each library"
        )
        parser.add_argument(
            "--backend",
            choices=["tensorflow", "jax"],
            default=os.environ.get("KERAS_BACKEND", "tensorflow"),
            help="of Keras; on a GPU it is jax",
        )
        if self.rounds is not None:
            parser.add_argument("--rounds", type=int, default=self.rounds)
        for name, text in self.flags.items():
            parser.add_argument(f"--{name}", help=text, **flag)
        options = parser.parse_args(arguments)
        if options.smoke:
            options.rounds = self.smoke_rounds
        os.environ["KERAS_BACKEND"] = options.backend
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        for library in ("OMP", "MKL", "OPENBLAS", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
            middle = "" if library.startswith("TF") else "_NUM"
            os.environ[f"{library}{middle}_THREADS"] = str(options.threads)
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
        other: List of seconds, taken in turn with `ours`; `None` leaves the figures
            that need it empty.
    """
    if other is None:
        return dict.fromkeys(COMPARISON, "") | {"ours_ms": median_ms(ours)}
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    medians = [median_ms(seconds) for seconds in (ours, other)]
    ratios = [digits(figure) for figure in (middle, low, high)]
    return dict(zip(COMPARISON, medians + ratios, strict=True))


def digits(figure, count=4):
    """Returns a figure to so many significant digits."""
    return float(f"{figure:.{count}g}")


def median_ms(seconds):
    """Returns the median of a list of seconds in ms, to four digits."""
    return digits(1000 * statistics.median(seconds))


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


def measure_peak(make_step, *sizes):
    """Returns a step and the megabytes that it adds at most to what the process holds.

    Args:
        make_step: Function of a size to a step.
        sizes: A small size, whose step loads what has no size, and the size itself.
    """
    for size in sizes:
        step = make_step(size)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system
        before = resident("VmRSS")
        pathlib.Path("/proc/self/clear_refs").write_text("5")  # resets the mark
        step()
        peak = resident("VmHWM") - before
    return step, peak


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


def write(name, rows, options, **more):
    """Writes `results/NAME.csv` and `.json`; returns the path for a picture.

    Args:
        name: String, the race; `_jax` and `_jit` are added for such a run.
        rows: List of dicts with the same keys; they are the columns, in that order.
        options: Options of the race.
        **more: Further entries of the JSON, such as `roof_gflops`.
    """
    name += "_jax" * (options.backend == "jax")
    name += "_jit" * getattr(options, "jit", False)
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    about = json.dumps({**machine(options.threads), **more}, indent=1)
    (RESULTS / f"{name}.json").write_text(about + "\n", encoding="utf-8")
    return RESULTS / f"{name}.png"


def exponent(sizes, figures):
    """Returns the slope of the logarithms over those of the sizes, by least squares."""
    logarithms = ([math.log(max(x, 1e-6)) for x in xs] for xs in (sizes, figures))
    return statistics.linear_regression(*logarithms).slope


def label(row):
    """Returns what a row is about: its columns before the first figure."""
    about = list(row.items())[: list(row).index(COMPARISON[0])]
    return ", ".join(v if isinstance(v, str) else f"{k} {v}" for k, v in about)


@contextlib.contextmanager
def picture(path, width, height, *panels, **options):
    """Yields the axes of a picture, or of its panels, and saves it at the end."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    yield figure.subplots(*panels, **options)
    figure.savefig(path, dpi=110)


def plot_ratios(rows, path, title):
    """Draws the ratios ours / other with their quartiles, 1 as a line."""
    from matplotlib.ticker import LogLocator

    rows = [row for row in rows if row["ratio"] not in ("", None)]
    with picture(path, 8, 1.2 + 0.26 * len(rows)) as axes:
        for i, row in enumerate(rows):
            middle = row["ratio"]
            color = "tab:green" if middle <= 1 else "tab:red"
            spread = [[middle - row["quartile_1"]], [row["quartile_3"] - middle]]
            axes.errorbar(middle, i, xerr=spread, fmt="o", color=color, capsize=2)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [label(row) for row in rows], fontsize=7)
        axes.invert_yaxis()
        axes.set(xscale="log", xlabel="time, ours / other; below 1 ours is faster")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.margins(y=0.5 / len(rows))
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3, axis="x")
