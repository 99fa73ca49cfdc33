"""Attention over sequences against Keras's own layers and against PyTorch.

    python -m benchmarks layers [--smoke] [--rounds N] [--only LAYER]

Outputs and gradients of the inputs are checked to be equal at every point before it is
timed. A contestant is left out of a point where its scores would take too much memory,
and a point where a step would take too long: `note` says so. `gflops` counts the
products of matrices and the additive score's four operations, a backward pass as two
forward ones, and nothing that is computed again.
"""

from concurrent import futures

from benchmarks import _contestants, _method, _steps

POINTS = [(64, 64), (16, 256), (4, 1024), (1, 4096), (1, 16384)]
SMOKE_POINTS = [(2, 24)]
MEASURED = (1024, 4096, 16384)  # lengths whose memory is measured, in training
SECONDS = 2.5
MOST_BYTES, MOST_SECONDS = 4.5e9, 20.0  # of scores, of a step


def too_large(layer, which, what, batch, length):
    """Returns why a contestant is left out of a point, or an empty string."""
    needed = _contestants.score_bytes(layer, which, what, batch, length)
    if needed <= MOST_BYTES:
        return ""
    return f"{which} would hold about {needed / 1e9:.0f} GB of scores"


def time_point(layer, what, batch, length, rounds, roof):
    """Returns the rows of a point, one for each other contestant, timed in turn."""
    point = layer, what, batch, length
    others = _contestants.others(layer)
    notes = {who: too_large(layer, who, *point[1:]) for who in others}
    names = ["ours", *(who for who in others if not notes[who])]
    steps = {who: _contestants.step(layer, who, *point[1:]) for who in names}
    inputs = len(_contestants.shapes(layer, batch, length))
    count = 1 + inputs if what == "training" else 1  # the output, the inputs' gradients
    expected = steps["ours"]()[:count]
    for who in names[1:]:
        about = f"{layer}, {what}, T {length}, ours and {who}"
        _steps.check_equal(expected, steps[who]()[:count], about=about)
    del expected
    seconds = _method.race(steps, rounds, SECONDS)
    rows = []
    for who in others:
        figures = _method.compare(seconds["ours"], seconds.get(who))
        gflops = _contestants.flops(*point) / figures["ours_ms"] / 1e6
        figures["gflops"] = _method.digits(gflops, 3)
        figures["share_of_roof"] = _method.digits(gflops / roof, 3)
        rows.append(row(*point, who, note=notes[who], **figures))
    return rows


def row(layer, what, batch, length, against, **figures):
    """Returns a row, empty but for the figures."""
    about = {"layer": layer, "what": what, "batch": batch, "T": length}
    more = ("ours_mb", "other_mb", "gflops", "share_of_roof", "note")
    empty = dict.fromkeys((*_method.COMPARISON, *more), "")
    return about | {"against": against} | empty | figures


def time_layer(layer, options):
    """Returns the rows of a layer without their megabytes."""
    roof = _method.roof()
    rows = []
    for what in _steps.WHATS:
        pace = 0.0  # seconds of a pair of positions, from the point before
        for batch, length in SMOKE_POINTS if options.smoke else POINTS:
            expected = pace * batch * length**2
            if expected <= MOST_SECONDS:
                rows += time_point(layer, what, batch, length, options.rounds, roof)
                pace = rows[-1]["ours_ms"] / 1000 / (batch * length**2)
                continue
            note = f"a step would take about {expected:.0f} s"
            for who in _contestants.others(layer):
                rows.append(row(layer, what, batch, length, who, note=note))
    return rows


def measure_point(layer, which, batch, length):
    """Returns the peak megabytes of a training step, in a process without another."""

    def make(size):
        return _contestants.step(layer, which, "training", *size)

    return _method.measure_peak(make, (1, 64), (batch, length))[1]


def add_megabytes(rows, _):
    """Fills in the peaks of training, a process for each point, two at a time."""
    wanted = {}  # where each point goes; points in order, each once
    for row in rows:
        if row["what"] == "training" and row["T"] in MEASURED and row["ours_ms"] != "":
            others = {row["against"]: "other_mb"} if row["other_ms"] != "" else {}
            for who, column in {"ours": "ours_mb", **others}.items():
                point = row["layer"], who, row["batch"], row["T"]
                wanted.setdefault(point, []).append((row, column))

    def measure(point):
        return _method.in_a_process(measure_point, *point)

    with futures.ThreadPoolExecutor(2) as pool:
        peaks = list(pool.map(measure, wanted))
    for peak, places in zip(peaks, wanted.values(), strict=True):
        for row, column in places:
            row[column] = _method.digits(peak)


main = _method.Race(
    "layers",
    __doc__,
    time_layer,
    _contestants.LAYERS,
    title="Attention over sequences, float32, width 64",
    rounds=30,
    isolated=True,
    complete=add_megabytes,
    has_roof=True,
)
