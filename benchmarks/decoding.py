"""Beam search over many sentences in one graph, against a loop over single sentences.

    python -m benchmarks decoding [--smoke]

- `beam`: a beam search, beam 5, over all sentences at once in one compiled function.
- `loop`: greedy search in Python, a sentence after the other, a step after the other.
- `compiled_loop`: the same loop with `encode` and `step` compiled.

The cores are untrained and cannot end a sentence: all take the same number of steps.
"""

import functools
import statistics
import time

from benchmarks import _method, _model_pairs

BEAM, START, PROMISE = 5, 2, 5.0
FULL = 64, 20, 4000  # sentences, steps, words
SOURCE, LOOPED = 16, 1  # words; sentences of the loops in a round, all cost the same
BLOCKS = {"width": 256, "num_layers": 3, "num_heads": 4, "intermediate_dim": 512}
CORES = {
    "rnn_translator": {"embedding_dim": 256, "units": 256},
    "transformer_translator": BLOCKS,
}


def make_core(name, vocabulary):
    """Returns an untrained translator with one vocabulary of both languages."""
    import keras

    import attention_zoo

    keras.utils.set_random_seed(0)
    sizes = dict.fromkeys(_model_pairs.VOCABULARIES, vocabulary)
    return attention_zoo.create(name, **sizes, **CORES[name], share_embeddings=True)


def batched_search(core, steps, end):
    """Returns a compiled function from ids `(B, S)` to tokens `(B, 1, T)`."""
    import tensorflow as tf

    from attention_zoo.generation.beam_search import beam_search

    signature = [tf.TensorSpec((None, None), "int32")]

    @tf.function(input_signature=signature, autograph=False)
    def search(source):
        states, memory = core.encode(source, steps)
        sizes = tuple(tf.unstack(tf.shape(source))), steps, START, end
        return beam_search(core.step, states, *sizes, memory, beam_size=BEAM).tokens

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
    names = {"loop": False, "compiled_loop": True}
    loops = {who: greedy_loop(core, steps, jit) for who, jit in names.items()}
    check_equal(core, few, loops, steps, vocabulary)
    calls = {"beam": (lambda: batched(together).numpy(), sentences)}
    calls |= {who: (functools.partial(f, few), LOOPED) for who, f in loops.items()}
    rates = {who: [] for who in calls}
    for i in range(options.rounds + 1):
        for who, (call, count) in calls.items():
            start = time.process_time()
            tokens = call()
            seconds = time.process_time() - start
            assert (tokens != 0).all()  # every step was taken
            rates[who] += [count / seconds] if i else []  # the first one traces
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
