"""Peak memory and time of attention in blocks, against the same layer of Keras.

    python -m benchmarks memory [--smoke | --races]

Three questions, on TensorFlow in float32, forward and backward in a compiled function:

1. Long sequences, `block_size="auto"` against Keras's own layer: peak memory and time.
2. How memory grows with T for each score: the exponent of a fit over T.
3. Short sequences, T 128: time against Keras's own layer, interleaved in one process.

Every point of 1 and 2 is a process of its own. Its peak is what the steps add to the
process, by the kernel's high-water mark, after a warm-up at T 64. Writes
`benchmarks/results/memory.csv`, `.json` and `.png`; `make tables` shows them in
README.md.
"""

import functools
import statistics
import time

from benchmarks import _method

WIDTH, HEADS, KEY_DIM, BATCH = 64, 4, 16, 2
RACES = [("additive", 2048), ("multi_head", 8192)]
SCORES = ["dot", "scaled_dot", "cosine", "general", "location", "additive", "concat"]
LENGTHS = [1024, 4096, 16384]
SHORT, SHORT_PAIRS = 128, 300
FIELDS = ["question", "kind", "which", "length", "megabytes", "seconds"]


def make(kind, which):
    """Returns a layer, and a function `(B, T, D) -> (B, T, D)` that calls it on itself.

    Args:
        kind: `"multi_head"` or the name of a score.
        which: `"keras"`, `"blocks"` for ours in blocks, `"whole"` for ours at once.
    """
    import keras

    from attention_zoo import layers

    block_size = "auto" if which == "blocks" else None
    if kind == "multi_head":
        if which == "keras":
            layer = keras.layers.MultiHeadAttention(HEADS, KEY_DIM)
        else:
            layer = layers.MultiHeadAttention(HEADS, KEY_DIM, block_size=block_size)
        return layer, lambda x: layer(x, x)
    if which == "keras":
        own = {
            "additive": keras.layers.AdditiveAttention,
            "dot": keras.layers.Attention,
        }
        layer = own[kind]()
        return layer, lambda x: layer([x, x])
    score = kind
    if kind == "location":
        score = layers.LocationScore(max_length=max(LENGTHS))
    layer = layers.Attention(score=score, block_size=block_size)
    return layer, lambda x: layer(x, x)


def training_step(kind, which):
    """Returns a compiled forward and backward pass over an input `(B, T, WIDTH)`."""
    import tensorflow as tf

    layer, call = make(kind, which)
    call(tf.zeros((BATCH, 64, WIDTH)))
    weights = [w.value for w in layer.trainable_weights]

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(call(x)))
        return tape.gradient(loss, [x, *weights])

    return step


def inputs(length):
    """Returns a random `(B, T, WIDTH)` tensor."""
    import numpy as np
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(BATCH, length, WIDTH))
    return tf.constant(x.astype("float32"))


def measure_point(kind, which, length, steps):
    """Returns the peak megabytes that the steps add, and the median seconds a step."""
    step = training_step(kind, which)
    step(inputs(64))
    x = inputs(length)
    seconds = []

    def take_steps():
        for _ in range(steps):
            start = time.perf_counter()
            take(step, x)
            seconds.append(time.perf_counter() - start)

    megabytes = _method.measure_peak(take_steps)
    timed = seconds[1:] or seconds  # the first one traces
    return megabytes, statistics.median(timed)


def in_a_process(question, kind, which, length, steps):
    """Measures one point in a process of its own and returns its row."""
    point = kind, which, length, steps
    megabytes, seconds = _method.in_a_process(measure_point, *point)
    row = [question, kind, which, length, round(megabytes, 1), round(seconds, 4)]
    print(*row, flush=True)
    return row


def take(step, x):
    """Takes a step and waits for it."""
    return step(x)[0].numpy()


def race_short(kind, length, pairs):
    """Returns the rows of ours and Keras's at a short length, interleaved."""
    whiches = ["blocks", "keras"]
    steps = {which: training_step(kind, which) for which in whiches}
    x = inputs(length)
    contestants = {w: functools.partial(take, step, x) for w, step in steps.items()}
    seconds = _method.take_turns(contestants, pairs, 10)
    rows = []
    for which in whiches:
        median = statistics.median(seconds[which])
        rows.append(["short", kind, which, length, "", round(median, 6)])
        print(*rows[-1], flush=True)
    return rows


def growth_exponent(points):
    """Returns the slope of log megabytes over log length, by least squares."""
    import numpy as np

    lengths, megabytes = np.array(points, dtype="float64").T
    return float(np.polyfit(np.log(lengths), np.log(megabytes), 1)[0])


def plot(rows, path):
    """Draws peak memory over T: each score in blocks, Keras's layers as marks."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    grown = [r for r in rows if r[0] == "growth"]
    for kind in dict.fromkeys(r[1] for r in grown):
        points = [(r[3], r[4]) for r in grown if r[1] == kind]
        exponent = growth_exponent(points)
        axes.plot(*zip(*points, strict=True), ".-", label=f"{kind}, T^{exponent:.2f}")
    for _, kind, which, length, megabytes, _ in (r for r in rows if r[0] == "race"):
        mark = "kx" if which == "keras" else "ko"
        axes.plot(length, megabytes, mark)
        axes.annotate(f"{which}: {kind} ", (length, megabytes), ha="right", va="center")
    axes.set(xscale="log", yscale="log", xlabel="T", ylabel="peak memory, MB")
    axes.set_xticks(LENGTHS, [str(t) for t in LENGTHS])
    axes.set_title("Forward and backward, batch 2, width 64, float32")
    axes.legend(fontsize=8, title="ours, block_size='auto'", title_fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def extend(parser):
    """Adds the arguments of this race."""
    parser.add_argument("--races", action="store_true", help="leave out the growth")


def main(arguments):
    options = _method.parse("memory", arguments, __doc__.splitlines()[0], extend)
    races = [("additive", 256)] if options.smoke else RACES
    lengths, scores = (LENGTHS, SCORES)
    if options.smoke:
        lengths, scores = [256, 512], ["dot"]
    rows = []
    for kind, length in races:
        for which in ("keras", "blocks"):
            rows.append(in_a_process("race", kind, which, length, 6))
    for kind in [] if options.races else scores:
        for length in lengths:
            rows.append(in_a_process("growth", kind, "blocks", length, 1))
    kinds = ["dot"] if options.smoke else ["dot", "additive", "multi_head"]
    for kind in kinds:
        rows += race_short(kind, SHORT, 5 if options.smoke else SHORT_PAIRS)
    named = [dict(zip(FIELDS, row, strict=True)) for row in rows]
    _method.write("memory", named, options, "")
    if not (options.races or options.smoke):
        plot(rows, _method.RESULTS / "memory.png")
    return 0
