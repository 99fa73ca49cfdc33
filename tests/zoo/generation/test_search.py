"""Searches against all sequences there are, and against searches in plain Python."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from attention_zoo.generation.beam_search import beam_search, length_penalty_of
from attention_zoo.generation.search import draw_tokens, greedy, sample

ROWS, WIDTH, TIME = 3, 5, 4
START, END = 1, 2
IDS = {"shape": (ROWS, WIDTH), "max_length": TIME, "start_id": START, "end_id": END}


class Table:
    """Random log-probabilities after each beginning, by the number of its digits.

    Args:
        size: V. A beginning is a number of that base; the start token leads.
        choices: How many tokens can follow a beginning; the others are impossible.
    """

    def __init__(self, size, choices=None, seed=0):
        rng = np.random.default_rng(seed)
        self.size = size
        logits = rng.normal(0, 2, (ROWS, size**TIME, size))
        logits[..., END] += 1
        if choices is not None:
            order = rng.random((ROWS, size**TIME, size))
            order[..., 0] = 1  # padding is not among them
            order[..., END] -= 0.5  # the end often is
            rank = order.argsort(axis=-1).argsort(axis=-1)
            logits = np.where(rank < choices, logits, -np.inf)
        logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        self.given = logits.astype("float32")
        self.looks = rng.random((ROWS, size**TIME, WIDTH)).astype("float32")

    def states(self):
        rows = ops.convert_to_tensor(np.arange(ROWS, dtype="int32"))
        return {"row": rows, "begun": [ops.zeros_like(rows)]}

    def step(self, tokens, states):
        begun = states["begun"][0] * self.size + tokens
        place = states["row"] * self.size**TIME + begun
        given = ops.take(self.given.reshape(-1, self.size), place, axis=0)
        looks = ops.take(self.looks.reshape(-1, WIDTH), place, axis=0)
        return given, {"row": states["row"], "begun": [begun]}, looks

    def follow(self, row, tokens):
        """Returns the log-probabilities of tokens and what is looked at for each."""
        code, gained, looks = 0, [], []
        for last, token in zip((START, *tokens), tokens, strict=False):
            code = code * self.size + last
            gained.append(float(self.given[row, code, token]))
            looks.append(self.looks[row, code])
        return gained, looks


def penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def every_sequence(table, row, alpha):
    """All sequences, those that end first, from best to worst: `(score, tokens)`."""
    found = []
    others = [t for t in range(1, table.size) if t != END]
    for length in range(1, TIME + 1):
        for begin in itertools.product(others, repeat=length - 1):
            last = (END,) if length < TIME else (END, *others)
            found += [(*begin, token) for token in last]
    scored = [(sum(table.follow(row, s)[0]) / penalty(len(s), alpha), s) for s in found]
    scored = [pair for pair in scored if np.isfinite(pair[0])]
    return sorted(scored, key=lambda pair: (pair[1][-1] != END, -pair[0]))


def plain_beam_search(table, row, beams, alpha):
    """Results, from best to worst, by lists and sorting."""
    live, ended = [(0.0, ())], []
    for _ in range(TIME):
        found = []
        for score, tokens in live:
            for token in range(1, table.size):
                gained = table.follow(row, (*tokens, token))[0][-1]
                found.append((score + gained, (*tokens, token)))
        found.sort(key=lambda pair: -pair[0])
        found = found[: 2 * beams]
        ended += [pair for pair in found[:beams] if pair[1][-1] == END]
        live = [pair for pair in found if pair[1][-1] != END][:beams]
    ended = sorted(
        ((s / penalty(len(t), alpha), t) for s, t in ended), key=lambda pair: -pair[0]
    )
    return ended + [(s / penalty(TIME, alpha), t) for s, t in live]


def unpad(tokens):
    return tuple(int(token) for token in tokens if token)


def assert_results(decoded, table, expected, row):
    """Tokens, scores, gains and alignments of one sentence, and zeros after the end."""
    tokens, scores, gained, alignment = (ops.convert_to_numpy(x)[row] for x in decoded)
    assert [unpad(t) for t in tokens] == [t for _, t in expected]
    np.testing.assert_allclose(scores, [s for s, _ in expected], rtol=1e-5)
    for n, (_, sequence) in enumerate(expected):
        length = len(sequence)
        own, looks = table.follow(row, sequence)
        np.testing.assert_allclose(gained[n, :length], own, rtol=1e-5)
        np.testing.assert_allclose(alignment[n, :length], looks, rtol=1e-5)
        for held in (tokens, gained, alignment):
            assert not held[n, length:].any()


@pytest.mark.parametrize("alpha", [0, 0.7])
def test_beams_enough_for_all_beginnings_find_the_best_of_all(alpha):
    table = Table(17, choices=2)  # 8 beginnings of 3 tokens, 16 sequences of 4
    decoded = beam_search(
        table.step,
        table.states(),
        **IDS,
        beam_size=17,
        num_best=5,
        length_penalty=alpha,
    )
    kinds = set()
    for row in range(ROWS):
        expected = every_sequence(table, row, alpha)
        assert_results(decoded, table, expected[:5], row)
        kinds |= {(len(t), t[-1] == END) for _, t in expected[:5]}
    assert len(kinds) > 2  # of several lengths, ended and cut off


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize(("beams", "alpha"), [(1, 1.0), (3, 0), (5, 1.3)])
def test_few_beams_agree_with_a_search_in_plain_python(beams, alpha, early_stop):
    table = Table(7, seed=beams)
    decoded = beam_search(
        table.step,
        table.states(),
        **IDS,
        beam_size=beams,
        num_best=beams,
        length_penalty=alpha,
        early_stop=early_stop,
    )
    for row in range(ROWS):
        expected = plain_beam_search(table, row, beams, alpha)[:beams]
        assert_results(decoded, table, expected, row)
        best = every_sequence(table, row, alpha)[0][0]
        assert expected[0][0] <= best + 1e-6


def test_early_stop_stops():
    """After an almost certain end no beam has hope, and no step is made."""
    steps = []

    def step(tokens, states):
        steps.append(tokens)
        given = ops.convert_to_tensor([[-30, -30, -1e-6, -30.0]] * 3, dtype="float32")
        return ops.repeat(given, 2, axis=0), states, ops.ones((6, WIDTH))

    for early_stop, least in ((True, 1), (False, 9)):
        steps.clear()
        decoded = beam_search(
            step,
            ops.zeros((3, 1)),
            **{**IDS, "max_length": 9},
            beam_size=2,
            early_stop=early_stop,
        )
        tokens = ops.convert_to_numpy(decoded.tokens)
        assert tokens[:, 0, 0].tolist() == [END] * 3
        assert not tokens[:, 0, 1:].any()
        if keras.config.backend() != "jax":  # which traces a loop once
            assert len(steps) == least


def test_fewer_sequences_than_asked_for():
    table = Table(7, choices=1)
    decoded = beam_search(table.step, table.states(), **IDS, beam_size=3, num_best=3)
    tokens, scores, *_ = (ops.convert_to_numpy(x) for x in decoded)
    for row in range(ROWS):
        ((_, only),) = every_sequence(table, row, 1)
        assert unpad(tokens[row, 0]) == only
    assert np.isclose(scores[:, 0], 0, atol=1e-6).all()
    assert (scores[:, 1:] == -np.inf).all()
    assert not tokens[:, 1:].any()


def test_the_length_penalty_is_that_of_the_paper():
    """Wu et al. 2016, equation 14: lp(Y) = (5 + |Y|)^a / (5 + 1)^a."""
    for length in (1, 7, 50):
        for alpha in (0, 0.2, 1, 2):
            expected = (5 + length) ** alpha / (5 + 1) ** alpha
            assert length_penalty_of(length, alpha) == pytest.approx(expected)


def test_greedy_takes_the_best_token_at_each_step():
    table = Table(7)
    decoded = greedy(table.step, table.states(), **IDS)
    lengths = set()
    for row in range(ROWS):
        tokens = ()
        while len(tokens) < TIME and tokens[-1:] != (END,):
            options = [table.follow(row, (*tokens, t))[0][-1] for t in range(1, 7)]
            tokens = (*tokens, 1 + int(np.argmax(options)))
        expected = [(sum(table.follow(row, tokens)[0]), tokens)]
        assert_results(decoded, table, expected, row)
        lengths.add(len(tokens))
    assert len(lengths) > 1


def test_the_memory_is_repeated_for_the_beams():
    table = Table(7)

    def step(tokens, states, memory):
        given, states, looks = table.step(tokens, states)
        return given, states, looks + ops.expand_dims(memory["row"], -1)

    memory = {"row": ops.convert_to_tensor(np.array([10.0, 20.0, 30.0], "float32"))}
    options = {**IDS, "beam_size": 3, "num_best": 2}
    plain = beam_search(table.step, table.states(), **options).alignment
    moved = beam_search(step, table.states(), **options, memory=memory).alignment
    plain, moved = (ops.convert_to_numpy(x) for x in (plain, moved))
    used = plain.any(axis=-1)
    for row in range(ROWS):
        shift = (moved - plain)[row][used[row]]
        np.testing.assert_allclose(shift, 10 * (row + 1), rtol=1e-5)


SHARES = np.array([0.02, 0.05, 0.4, 0.03, 0.2, 0.3], "float32")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, SHARES),
        ({"temperature": 0.5}, SHARES**2),
        ({"temperature": 2.0}, SHARES**0.5),
        ({"temperature": 1e-30}, [0, 0, 1, 0, 0, 0]),
        ({"top_k": 3}, [0, 0, 0.4, 0, 0.2, 0.3]),
        ({"top_k": 50}, SHARES),
        ({"top_p": 0.65}, [0, 0, 0.4, 0, 0, 0.3]),
        ({"top_p": 0.05}, [0, 0, 1, 0, 0, 0]),
        # Of the three tokens, renormalised: .44, .33, .22.
        ({"top_k": 3, "top_p": 0.75}, [0, 0, 0.4, 0, 0, 0.3]),
        ({"top_p": 1.0}, SHARES),
    ],
)
def test_draws_have_the_right_distribution(options, expected):
    """Of evenly spaced places on the line, each token gets its share."""
    count = 4000
    given = ops.convert_to_tensor(np.tile(np.log(SHARES), (count, 1)))
    draws = ops.convert_to_tensor((np.arange(count, dtype="float32") + 0.5) / count)
    tokens = ops.convert_to_numpy(draw_tokens(given, draws, **options))
    got = np.bincount(tokens, minlength=6) / count
    expected = np.asarray(expected, "float64")
    np.testing.assert_allclose(got, expected / expected.sum(), atol=1e-3)
    assert (got[expected == 0] == 0).all()


def test_samples_of_a_seed():
    table = Table(5, seed=2)
    options = {**IDS, "num_samples": 700}
    decoded = sample(table.step, table.states(), **options, seed=3)
    again = sample(table.step, table.states(), **options, seed=3)
    other = sample(table.step, table.states(), **options, seed=4)
    tokens = ops.convert_to_numpy(decoded.tokens)
    np.testing.assert_array_equal(tokens, ops.convert_to_numpy(again.tokens))
    assert (tokens != ops.convert_to_numpy(other.tokens)).any()
    for row in range(ROWS):  # padding is impossible: what is left has a larger share
        shares = np.exp(table.given[row, START])
        shares = shares[1:] / shares[1:].sum()
        got = np.bincount(tokens[row, :, 0], minlength=5)[1:] / 700
        np.testing.assert_allclose(got, shares, atol=4 * 0.5 / 700**0.5)
        some = [n for n in range(0, 700, 97)]
        expected = [unpad(tokens[row, n]) for n in some]
        expected = [(sum(table.follow(row, t)[0]), t) for t in expected]
        chosen = [np.take(ops.convert_to_numpy(x), some, axis=1) for x in decoded]
        assert_results(chosen, table, expected, row)
        for sequence in (unpad(t) for t in tokens[row]):
            assert END not in sequence[:-1]
            assert sequence[-1] == END or len(sequence) == TIME


def compiled(search, jit):
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(search, jit_compile=jit)
    if keras.config.backend() == "jax":
        import jax

        return jax.jit(search)
    return search


def test_a_compiled_search_agrees():
    table = Table(5)
    states, options = table.states(), {**IDS, "beam_size": 3, "num_best": 2}
    searches = [
        (lambda: beam_search(table.step, states, **options), True),
        # With XLA the same seed means other numbers.
        (lambda: sample(table.step, states, **IDS, seed=1, top_k=2), False),
    ]
    for search, jit in searches:
        for eager, got in zip(search(), compiled(search, jit)(), strict=True):
            np.testing.assert_allclose(
                ops.convert_to_numpy(eager), ops.convert_to_numpy(got), rtol=1e-5
            )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beam_size": 0}, "positive integer. Received: beam_size=0"),
        ({"beam_size": 8}, "vocabulary's size, 7. Received: beam_size=8"),
        ({"beam_size": 2, "num_best": 3}, "num_best=3, beam_size=2"),
        ({"num_best": 0}, "num_best=0"),
        ({"length_penalty": -1}, "at least 0. Received: length_penalty=-1"),
        ({"length_penalty": True}, "length_penalty=True"),
        ({"max_length": 0}, "max_length=0"),
    ],
)
def test_bad_arguments_of_beam_search(change, message):
    table = Table(7)
    with pytest.raises(ValueError, match=message):
        beam_search(table.step, table.states(), **{**IDS, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0}, "above 0. Received: temperature=0"),
        ({"top_k": 0}, "positive integer. Received: top_k=0"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"top_p": 1.5}, r"\(0, 1\]. Received: top_p=1.5"),
        ({"num_samples": 0}, "num_samples=0"),
        ({"max_length": 2.5}, "max_length=2.5"),
    ],
)
def test_bad_arguments_of_sampling(change, message):
    table = Table(7)
    with pytest.raises(ValueError, match=message):
        sample(table.step, table.states(), **{**IDS, **change})
