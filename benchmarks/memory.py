"""Peak memory and time of attention in blocks, against the same layer of Keras.

    python -m benchmarks memory [--only QUESTION] [--smoke]

- `race`: long sequences against Keras's own layer, memory and time of a training step.
- `growth`: how memory grows with T for each score: the exponent of a fit over T.
- `short`: T 128: time against Keras's own layer, in turn in one process.
"""

import functools
import statistics

from benchmarks import _method, _steps

WIDTH, HEADS, KEY_DIM, BATCH = 64, 4, 16, 2
RACES = {"additive": 2048, "multi_head": 8192}
SCORES = ("dot", "scaled_dot", "cosine", "general", "location", "additive", "concat")
LENGTHS = (1024, 4096, 16384)
SHORT, SHORT_PAIRS = 128, 300
STEPS = {"race": 5, "growth": 1}  # timed at each point
FIELDS = ("question", "kind", "which", "length", "megabytes", "seconds")


def make_step(kind, which, length):
    """Returns a training step of a layer on `(BATCH, length, WIDTH)` itself.

    Args:
        kind: `"multi_head"` or the name of a score.
        which: `"keras"`, or `"blocks"` for ours in blocks.
        length: Integer.
    """
    import keras

    from attention_zoo import layers

    x = keras.Input(batch_shape=(BATCH, length, WIDTH))
    if kind == "multi_head":
        options = {} if which == "keras" else {"block_size": "auto"}
        room = keras.layers if which == "keras" else layers
        output = room.MultiHeadAttention(HEADS, KEY_DIM, **options)(x, x)
    elif which == "keras":
        own = {"additive": "AdditiveAttention", "dot": "Attention"}
        output = getattr(keras.layers, own[kind])()([x, x])
    else:
        sized = layers.LocationScore(max_length=max(LENGTHS))
        score = sized if kind == "location" else kind
        output = layers.Attention(score=score, block_size="auto")(x, x)
    arrays = _steps.draw((BATCH, length, WIDTH))
    return _steps.keras_step(keras.Model(x, output), arrays, "training")


def measure_point(kind, which, length, steps):
    """Returns the peak megabytes that a step adds, and the median seconds a step."""
    make = functools.partial(make_step, kind, which)
    step, megabytes = _method.measure_peak(make, 64, length)
    seconds = _method.take_turns({"step": step}, steps, 0)["step"]
    return megabytes, statistics.median(seconds)


def points(question, smoke):
    """Returns the points `(kind, which, length)` of a question about memory."""
    if question == "race":
        races = {"additive": 256} if smoke else RACES
        return [
            (k, which, t) for k, t in races.items() for which in ("keras", "blocks")
        ]
    scores, lengths = (("dot",), (256, 512)) if smoke else (SCORES, LENGTHS)
    return [(kind, "blocks", length) for kind in scores for length in lengths]


def race(question, options):
    """Returns the rows of a question."""
    if question == "short":
        kinds = ("dot",) if options.smoke else ("dot", "additive", "multi_head")
        pairs = 5 if options.smoke else SHORT_PAIRS
        return [row for kind in kinds for row in race_short(kind, pairs)]
    rows = []
    for point in points(question, options.smoke):
        work = *point, STEPS[question]
        here = options.smoke and question == "growth"
        megabytes, seconds = (
            measure_point(*work) if here else _method.in_a_process(measure_point, *work)
        )
        figures = round(megabytes, 1), round(seconds, 4)
        rows.append(dict(zip(FIELDS, (question, *point, *figures), strict=True)))
    return rows


def race_short(kind, pairs):
    """Returns the rows of ours and Keras's at a short length, in turn."""
    steps = {which: make_step(kind, which, SHORT) for which in ("blocks", "keras")}
    taken = _method.take_turns(steps, pairs, 10)
    medians = {which: round(statistics.median(s), 6) for which, s in taken.items()}
    about = "short", kind
    values = [(*about, which, SHORT, "", m) for which, m in medians.items()]
    return [dict(zip(FIELDS, value, strict=True)) for value in values]


def plot(rows, path):
    """Draws peak memory over T: each score in blocks, Keras's layers as marks."""
    with _method.picture(path, 7, 4.2) as axes:
        for kind in SCORES:
            own = [r for r in rows if (r["question"], r["kind"]) == ("growth", kind)]
            lengths, sizes = ([r[key] for r in own] for key in ("length", "megabytes"))
            exponent = _method.exponent(lengths, sizes)
            axes.plot(lengths, sizes, ".-", label=f"{kind}, T^{exponent:.2f}")
        for r in (r for r in rows if r["question"] == "race"):
            place = r["length"], r["megabytes"]
            axes.plot(*place, "kx" if r["which"] == "keras" else "ko")
            about = f"{r['which']}: {r['kind']} "
            axes.annotate(about, place, ha="right", va="center")
        axes.set(xscale="log", yscale="log", xlabel="T", ylabel="peak memory, MB")
        axes.set_xticks(LENGTHS, [str(t) for t in LENGTHS])
        axes.set_title("Forward and backward, batch 2, width 64, float32")
        axes.legend(fontsize=8, title="ours, block_size='auto'", title_fontsize=8)
        axes.grid(alpha=0.3)


main = _method.Race("memory", __doc__, race, ("race", "growth", "short"), plot=plot)
