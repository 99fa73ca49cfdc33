"""Attention over sequences against Keras's own layers and against PyTorch.

    python -m benchmarks layers [--smoke] [--rounds N] [--only LAYER]

Forward, and training: forward and backward with the gradients of inputs and weights.
Float32, width 64. Contestants have the same weights; outputs and gradients of the
inputs are checked to be equal at every point before anything is timed.

- `dot`, `scaled_dot`: `Attention` in blocks, against `keras.layers.Attention` and
  PyTorch's `scaled_dot_product_attention`, with query, key and value of their own.
- `heads`: the same with 4 heads of width 16, as so many sequences: what is inside
  `MultiHeadAttention`. Promised: training at T 4096 takes no longer than PyTorch's and
  no more memory.
- `additive`: against `keras.layers.AdditiveAttention` behind two dense layers, which
  ours has inside, and against the plain formula in PyTorch.
- `multi_head`: `MultiHeadAttention(4, 16)` of a sequence on itself, against Keras's,
  against `torch.nn.MultiheadAttention` without weights, and, as `torch_sdpa`, against
  PyTorch's dense layers around `scaled_dot_product_attention`.

The timings of a layer are a process, and each point of memory is one. A contestant is
left out of a point where its scores would take too much memory, and a point where a
step would take too long: `note` says so. `gflops` counts the products of matrices and
the additive score's four operations, a backward pass as two forward ones, and nothing
that is computed again. Writes `benchmarks/results/layers.csv`, `.json` and `.png`.
"""

from concurrent import futures

from benchmarks import _contestants, _method, _steps

POINTS = [(64, 64), (16, 256), (4, 1024), (1, 4096), (1, 16384)]
MEASURED = (1024, 4096, 16384)  # lengths whose memory is measured, in training
ROUNDS, SECONDS = 30, 2.5
MOST_BYTES, MOST_SECONDS = 4.5e9, 20.0  # of scores, of a step
PROMISE = {"layer": "heads", "what": "training", "T": 4096, "against": "torch"}


def extend(parser):
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="at most")
    parser.add_argument(
        "--only", choices=_contestants.LAYERS, help="one layer, writes nothing"
    )


def too_large(layer, which, what, batch, length):
    """Returns why a contestant is left out of a point, or an empty string."""
    needed = _contestants.score_bytes(layer, which, what, batch, length)
    if needed <= MOST_BYTES:
        return ""
    return f"{which} would hold about {needed / 1e9:.0f} GB of scores"


def time_point(layer, what, batch, length, rounds, roof):
    """Returns the rows of a point, one for each other contestant, timed in turn."""
    others = _contestants.others(layer)
    notes = {who: too_large(layer, who, what, batch, length) for who in others}
    names = ["ours", *(who for who in others if not notes[who])]
    steps = {who: _contestants.step(layer, who, what, batch, length) for who in names}
    count = 1 + len(_contestants.shapes(layer, batch, length))
    count = count if what == "training" else 1  # the output, the inputs' gradients
    expected = steps["ours"]()[:count]
    for who in names[1:]:
        about = f"{layer}, {what}, T {length}, ours and {who}"
        _steps.check_equal(expected, steps[who]()[:count], about=about)
    del expected
    seconds = _method.race(steps, rounds, SECONDS)
    work = _contestants.flops(layer, what, batch, length)
    rows = []
    for who in others:
        figures = dict.fromkeys(_method.COMPARISON, "")
        if who in seconds:
            figures = _method.compare(seconds["ours"], seconds[who])
        else:
            figures["ours_ms"] = _method.median_ms(seconds["ours"])
        gflops = work / figures["ours_ms"] / 1e6
        rows.append(
            row(layer, what, batch, length, who)
            | figures
            | {
                "gflops": float(f"{gflops:.3g}"),
                "share_of_roof": float(f"{gflops / roof:.3g}"),
                "note": notes[who],
            }
        )
    return rows


def row(layer, what, batch, length, against):
    """Returns a row without figures."""
    about = {"layer": layer, "what": what, "batch": batch, "T": length}
    figures = (*_method.COMPARISON, "ours_mb", "other_mb", "gflops", "share_of_roof")
    return about | {"against": against} | dict.fromkeys((*figures, "note"), "")


def time_layer(layer, rounds, points, threads):
    """Returns the rows of a layer without their megabytes, and the roof."""
    import torch

    torch.set_num_threads(threads)
    roof = _method.roof()
    rows = []
    for what in _steps.WHATS:
        pace = 0.0  # seconds of a pair of positions, from the point before
        for batch, length in points:
            expected = pace * batch * length**2
            if expected > MOST_SECONDS:
                note = f"a step would take about {expected:.0f} s"
                for who in _contestants.others(layer):
                    rows.append(row(layer, what, batch, length, who) | {"note": note})
                continue
            rows += time_point(layer, what, batch, length, rounds, roof)
            pace = rows[-1]["ours_ms"] / 1000 / (batch * length**2)
    return rows, roof


def measure_point(threads, layer, which, batch, length):
    """Returns the peak megabytes of a training step, in a process without another."""
    if which.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
    for size in ((1, 64), (batch, length)):  # the small one loads what has no size
        step = _contestants.step(layer, which, "training", *size)
        peak = _method.measure_peak(step)
    return peak


def add_megabytes(rows, options):
    """Fills in the peaks of training, a process for each point, two at a time."""
    points = {}  # in order, each once
    for row in rows:
        if row["what"] == "training" and row["T"] in MEASURED and row["ours_ms"] != "":
            others = [row["against"]] if row["other_ms"] != "" else []
            for who in ("ours", *others):
                points[row["layer"], who, row["batch"], row["T"]] = None

    def measure(point):
        return _method.in_a_process(measure_point, options.threads, *point)

    with futures.ThreadPoolExecutor(2) as pool:
        peaks = dict(zip(points, pool.map(measure, points), strict=True))
    for row in rows:
        for who, key in (("ours", "ours_mb"), (row["against"], "other_mb")):
            peak = peaks.get((row["layer"], who, row["batch"], row["T"]))
            if peak is not None and row["what"] == "training":
                row[key] = float(f"{peak:.4g}")


def smoke(threads):
    """Times each layer at a small point in this process, after its checks."""
    rows = []
    for layer in _contestants.LAYERS:
        rows += time_layer(layer, 3, [(2, 24)], threads)[0]
    _method.report(rows)
    return 0


def main(arguments):
    summary = "Attention over sequences against Keras's own layers and PyTorch."
    options = _method.parse("layers", arguments, summary, extend)
    if options.smoke:
        return smoke(options.threads)
    rows, roofs = [], []
    for layer in [options.only] if options.only else _contestants.LAYERS:
        timed, roof = _method.in_a_process(
            time_layer, layer, options.rounds, POINTS, options.threads
        )
        add_megabytes(timed, options)
        _method.report(timed)
        rows += timed
        roofs.append(roof)
    promised = [r for r in rows if PROMISE.items() <= r.items()]
    for r in promised:
        print(
            f"promised: a ratio of 1.0, is {r['ratio']}; no more memory, is "
            f"{r['ours_mb']} MB against {r['other_mb']} MB"
        )
    if not options.only:
        title = "Attention over sequences, float32, width 64"
        _method.write("layers", rows, options, title, roof_gflops=max(roofs))
    return 0
