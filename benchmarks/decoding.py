"""Beam search over many sentences in one graph, against a loop over single sentences.

    python -m benchmarks decoding [--smoke]

With the same core, in the same process, on TensorFlow in float32:

- `beam`: a beam search, beam 5, over all sentences at once in one compiled function.
- `loop`: greedy search in Python, a sentence after the other, a step after the other.
- `compiled_loop`: the same loop with `encode` and `step` compiled.

The cores are untrained, of the size of the recipes, and cannot end a sentence, so that
all take the same number of steps. The three take turns. Seconds are the processor's, of
all threads, which hardly depend on what else the machine does. Promised: a median of
sentences per second at least 5 times that of `loop`, although a beam is five times the
work of greedy search. Writes `benchmarks/results/decoding.csv`; `make tables` shows it
in docs/benchmarks.md.
"""

import functools
import statistics
import time

from benchmarks import _method

BEAM, START, PROMISE = 5, 2, 5.0
FULL = 64, 20, 4000  # sentences, steps, words
SOURCE, LOOPED = 16, 1  # words; sentences of the loops in a round, all cost the same
CORES = {
    "rnn_translator": {"embedding_dim": 256, "units": 256},
    "transformer_translator": {
        "width": 256,
        "num_layers": 3,
        "num_heads": 4,
        "intermediate_dim": 512,
    },
}


def make_core(name, vocabulary):
    """Returns an untrained translator with one vocabulary of both languages."""
    import keras

    import attention_zoo

    keras.utils.set_random_seed(0)
    sizes = dict.fromkeys(
        ("source_vocabulary_size", "target_vocabulary_size"), vocabulary
    )
    return attention_zoo.create(name, **sizes, **CORES[name], share_embeddings=True)


def batched_search(core, steps, vocabulary):
    """Returns a compiled function from ids `(B, S)` to tokens `(B, 1, T)`."""
    import tensorflow as tf

    from attention_zoo.generation.beam_search import beam_search

    signature = [tf.TensorSpec((None, None), "int32")]

    @tf.function(input_signature=signature, autograph=False)
    def search(source):
        states, memory = core.encode(source, steps)
        shape = tf.shape(source)
        end = vocabulary  # which no token is
        return beam_search(
            core.step,
            states,
            (shape[0], shape[1]),
            steps,
            START,
            end,
            memory,
            beam_size=BEAM,
        ).tokens

    return search


def greedy_loop(core, steps, compiled):
    """Returns a function from ids `(N, S)` to tokens `(N, T)`, one by one."""
    import numpy as np
    import tensorflow as tf

    encode, step = core.encode, core.step
    if compiled:
        encode = tf.function(encode, autograph=False)
        step = tf.function(step, autograph=False)

    def search(source):
        found = []
        for row in source:
            states, memory = encode(tf.constant(row[None]), steps)
            token, tokens = START, []
            for _ in range(steps):
                given, states, _ = step(tf.constant([token]), states, memory)
                token = int(np.argmax(given[0, 1:])) + 1  # not padding
                tokens.append(token)
            found.append(tokens)
        return np.array(found)

    return search


def check_equal(core, source, loops, steps, vocabulary):
    """Raises `AssertionError` where the loops are not the package's greedy search."""
    import numpy as np
    import tensorflow as tf

    from attention_zoo.generation.search import greedy

    states, memory = core.encode(tf.constant(source), steps)
    given = (core.step, states, source.shape, steps, START, vocabulary, memory)
    expected = greedy(*given).tokens[:, 0]
    for search in loops.values():
        np.testing.assert_array_equal(search(source), expected)


def race(name, options):
    """Returns the row of one core."""
    import numpy as np
    import tensorflow as tf

    sentences, steps, vocabulary = (3, 2, 50) if options.smoke else FULL
    core = make_core(name, vocabulary)
    source = np.random.default_rng(0).integers(4, vocabulary, (sentences, SOURCE))
    source = source.astype("int32")
    together, few = tf.constant(source), source[:LOOPED]
    batched = batched_search(core, steps, vocabulary)
    loops = {
        "loop": greedy_loop(core, steps, compiled=False),
        "compiled_loop": greedy_loop(core, steps, compiled=True),
    }
    check_equal(core, few, loops, steps, vocabulary)
    calls = {"beam": (lambda: batched(together).numpy(), sentences)}
    for which, search in loops.items():
        calls[which] = (functools.partial(search, few), LOOPED)
    rates = {which: [] for which in calls}
    for i in range(options.rounds + 1):
        for which, (call, count) in calls.items():
            start = time.process_time()
            tokens = call()
            seconds = time.process_time() - start
            assert (tokens != 0).all()  # every step was taken
            if i:  # the first one traces
                rates[which].append(count / seconds)
    row = {"core": name, "sentences": sentences, "source_length": SOURCE}
    row |= {"steps": steps, "beam_size": BEAM, "rounds": options.rounds}
    for which, found in rates.items():
        row[f"{which}_per_second"] = round(statistics.median(found), 2)
    return [row]


def kept(rows):
    """Returns whether the beam is as fast as was promised."""
    return all(r["beam_per_second"] >= PROMISE * r["loop_per_second"] for r in rows)


main = _method.Race(
    "decoding",
    __doc__,
    race,
    tuple(CORES),
    smoke=("rnn_translator",),
    rounds=5,
    smoke_rounds=1,
    kept=kept,
)
