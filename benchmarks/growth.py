"""How time and memory of each attention over sequences grow with the length.

    python -m benchmarks growth [--smoke] [--only NAME]

Every attention of `list_attentions()` that takes a sequence `(B, T, D)`, as
`create_attention` makes it; a `max_length` is T. An attention stops at the first T that
is expected to take too much memory or time, from how it grew so far. Exponents are the
slopes of the logarithms over that of T, by least squares over the upper three lengths.
"""

import statistics
from concurrent.futures.process import BrokenProcessPool

from benchmarks import _method, _steps

BATCH, WIDTH = 1, 64
LENGTHS, SMOKE_LENGTHS = (512, 1024, 2048, 4096), (128, 256, 1024)
FAMILIES = ("sequence", "linear", "self", "pooling", "series")
OTHER_INPUTS = ("two_stage_attention",)  # takes segments of variates
MOST_MEGABYTES, MOST_SECONDS = 3000.0, 20.0
TIMED, SECONDS = 7, 1.0  # steps at each point, and about how long they may take


def names():
    """Returns the attentions that take a sequence, a dict of names to families."""
    from attention_zoo.layers import list_attentions

    found = {n: family for family in FAMILIES for n in list_attentions(family=family)}
    return {n: family for n, family in found.items() if n not in OTHER_INPUTS}


def make_model(name, length):
    """Returns a functional model of one attention over `(BATCH, length, WIDTH)`."""
    import keras

    from attention_zoo.layers import create_attention, get_family
    from attention_zoo.layers.registry import DEFAULTS

    keras.utils.set_random_seed(0)
    sized = "max_length" in DEFAULTS.get(name, {})
    layer = create_attention(name, **({"max_length": length} if sized else {}))
    inputs = keras.Input(batch_shape=(BATCH, length, WIDTH))
    two = get_family(name) in ("sequence", "linear")
    return keras.Model(inputs, layer(inputs, inputs) if two else layer(inputs))


def measure(name, length):
    """Returns seconds and peak megabytes of a training step, in a fresh process."""

    def make(size):
        array = _steps.draw((BATCH, size, WIDTH))
        return _steps.keras_step(make_model(name, size), array, "training")

    step, peak = _method.measure_peak(make, 64, length)
    once = _method.take_turns({"step": step}, 1, 0)["step"]
    more = min(TIMED, int(SECONDS / once[0]))
    seconds = _method.take_turns({"step": step}, more, 0)["step"] or once
    return statistics.median(seconds), peak


def measure_all(name, options):
    """Returns the points `(T, seconds, megabytes)` of one attention, and a note."""
    points = []
    for length in SMOKE_LENGTHS if options.smoke else LENGTHS:
        seconds, megabytes = expect(points, length)
        if seconds > MOST_SECONDS or megabytes > MOST_MEGABYTES:
            expected = f"{seconds:.0f} s and {megabytes:.0f} MB"
            return points, f"T {length} would take about {expected}"
        try:
            work = measure, name, length
            call = measure if options.smoke else _method.in_a_process
            points.append((length, *call(*work[options.smoke :])))
        except BrokenProcessPool:
            return points, f"the process of T {length} died"
    return points, ""


def expect(points, length):
    """Returns the seconds and megabytes at `length`; growth goes on as it was."""
    if not points:
        return 0.0, 0.0
    last = points[-1]
    ratio = length / last[0]
    growths = [2.0, 2.0]
    if len(points) > 1:
        growths = [max(1.0, exponent(points[-2:], i)) for i in (1, 2)]
    return tuple(last[i] * ratio ** growths[i - 1] for i in (1, 2))


def exponent(points, column):
    """Returns the exponent in T of the seconds, column 1, or of the megabytes, 2."""
    lengths, _, _ = columns = list(zip(*points, strict=True))
    return _method.exponent(lengths, columns[column])


def race(name, options):
    """Returns the row of one attention."""
    points, note = measure_all(name, options)
    row = {"attention": name, "family": names()[name]}
    columns = ("time_exponent", "memory_exponent", "ms_at_1024", "mb_at_1024", "T_max")
    row |= dict.fromkeys(columns, "")
    upper = points[-3:]
    if len(upper) > 1:
        row["time_exponent"] = round(exponent(upper, 1), 2)
        row["memory_exponent"] = round(exponent(upper, 2), 2)
    if len(upper) == 2:
        note = f"exponents of 2 lengths; {note}"
    for length, seconds, megabytes in points:
        row["T_max"] = length
        if length == 1024:
            row["ms_at_1024"] = _method.digits(1000 * seconds)
            row["mb_at_1024"] = _method.digits(megabytes)
    return [row | {"note": note}]


main = _method.Race("growth", __doc__, race, names, smoke=("attention",))
