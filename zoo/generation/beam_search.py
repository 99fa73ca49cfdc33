"""Beam search, batched and inside one graph; `search` has what all searches share."""

from keras import ops

from attention_zoo.generation.search import (
    IMPOSSIBLE,
    Decoded,
    bind_memory,
    like,
    repeat_rows,
    take_rows,
    usable,
    write,
)
from attention_zoo.layers.core.validation import check_positive_integer


def length_penalty_of(length, alpha):
    """Returns `((5 + length) / 6) ^ alpha`, Wu et al. 2016, equation 14.

    Args:
        length: Number of tokens, the end token included; a number or a tensor.
        alpha: Number of at least 0; with 0 there is no penalty.
    """
    if alpha == 0:
        return 1.0
    return ((5.0 + length) / 6.0) ** alpha


def beam_search(
    step,
    states,
    shape,
    max_length,
    start_id,
    end_id,
    memory=None,
    beam_size=5,
    num_best=1,
    length_penalty=1.0,
    early_stop=True,
):
    """Follows the `beam_size` most probable beginnings of each sentence.

    At each step the `2 beam_size` best continuations of all beams are looked at. Those
    among the first `beam_size` that end are results; the best `beam_size` of those that
    do not end are the next beams. Results are ordered by
    `log P / ((5 + length) / 6)^length_penalty`. Beginnings cut off at `max_length` are
    results only where fewer than `num_best` ended.

    Args:
        step: Function of one step: `step(tokens, states)`, or with a `memory`
            `step(tokens, states, memory)`. See
            `attention_zoo.generation.search`.
        states: Nest of tensors, batch first: the states before the first step.
        shape: Tuple `(B, S)` of integers or scalar tensors, the shape of the source.
        max_length: Integer `T`, the maximum number of tokens of a result, including
            the end token.
        start_id: Integer, the token before the first one.
        end_id: Integer, the token that ends a result.
        memory: Nest of tensors, the third argument of `step`. Defaults to `None`:
            `step` has two.
        beam_size: Integer, at most the size of the vocabulary. Defaults to `5`.
        num_best: Integer `R`, the number of results for each sentence, at most
            `beam_size`. Defaults to `1`.
        length_penalty: Float, at least 0, alpha of Wu et al.: 0 orders by probability,
            which favours short results. Defaults to `1.0`.
        early_stop: Boolean. Whether the loop ends once no beam of any sentence can
            become a result: the same results, sooner. Defaults to `True`.

    Returns:
        A `Decoded`, the results of each sentence from best to worst.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    def step(tokens, states):  # token 2 is followed by 3, and all others by 1, the end
        after = ops.one_hot(ops.where(tokens == 2, 3, 1), 4)
        return ops.log(0.9 * after + 0.025), states, ops.ones((tokens.shape[0], 1))

    found = attention_zoo.generation.beam_search.beam_search(
        step, ops.zeros((2, 1)), (2, 1), 5, 2, 1, beam_size=3, num_best=2
    )
    assert ops.convert_to_numpy(found.tokens)[0, 0].tolist() == [3, 1, 0, 0, 0]
    assert found.scores.shape == (2, 2)
    ```

    References:
        - [Wu et al., 2016](https://arxiv.org/abs/1609.08144)
    """
    check_positive_integer("beam_search", max_length=max_length)
    check_beam_search(beam_size, num_best, length_penalty)
    search = _BeamSearch(
        bind_memory(step, memory, beam_size),
        shape,
        max_length,
        end_id,
        beam_size,
        num_best,
        length_penalty,
        early_stop,
    )
    return search.decode(repeat_rows(states, beam_size), start_id)


def check_beam_search(
    beam_size=5, num_best=1, length_penalty=1.0, early_stop=True, size=None
):
    """Raises `ValueError` for options of `beam_search` that are out of their range.

    Args:
        beam_size, num_best, length_penalty, early_stop: The arguments of
            `beam_search`.
        size: Integer, the size of the vocabulary, where it is known.
    """
    check_positive_integer("beam_search", beam_size=beam_size, num_best=num_best)
    if num_best > beam_size:
        raise ValueError(
            "`beam_search` expects `num_best` of at most `beam_size`. "
            f"Received: num_best={num_best}, beam_size={beam_size}"
        )
    number = isinstance(length_penalty, (int, float))
    if not number or isinstance(length_penalty, bool) or not length_penalty >= 0:
        raise ValueError(
            "Invalid value for argument `length_penalty` of `beam_search`. Expected a "
            f"number of at least 0. Received: length_penalty={length_penalty!r}"
        )
    if size is not None and beam_size > size:
        raise ValueError(
            "`beam_search` expects `beam_size` of at most the vocabulary's size, "
            f"{size}. Received: beam_size={beam_size}"
        )


class _BeamSearch:
    """The loop, and the way back through its history.

    Histories are `(T, B, K)` with K beams: at each step, of each new beam the `tokens`,
    what they `gained` in log-probability and the `parents`, the beams before that they
    go on from. `alignment` `(T, B, K, S)` is of those parents. Results are dicts of
    tensors `(B, K)`: the `scores`, the `steps` at which they ended, and the tokens,
    gains and parents of that step.
    """

    def __init__(
        self,
        step,
        shape,
        max_length,
        end_id,
        beam_size,
        num_best,
        length_penalty,
        early_stop,
    ):
        self.step = step
        self.batch, self.width = shape
        self.max_length = max_length
        self.end_id = end_id
        self.beams = beam_size
        self.num_best = num_best
        self.alpha = length_penalty
        self.early_stop = early_stop

    def decode(self, states, start_id):
        beams = (self.batch, self.beams)
        first = ops.arange(self.beams, dtype="int32") == 0  # the others are dead
        results = {"scores": ops.full(beams, IMPOSSIBLE, dtype="float32")}
        results |= {"gained": ops.zeros(beams, dtype="float32")}
        for name in ("steps", "parents", "tokens"):
            results[name] = ops.zeros(beams, dtype="int32")
        history = {
            name: ops.zeros((self.max_length, *beams), dtype=dtype)
            for name, dtype in _BEAM_DTYPES.items()
        }
        history["alignment"] = ops.zeros(
            (self.max_length, *beams, self.width), dtype="float32"
        )
        start = (
            ops.convert_to_tensor(0, dtype="int32"),
            ops.full(beams, start_id, dtype="int32"),
            ops.broadcast_to(ops.cast(~first, "float32") * IMPOSSIBLE, beams),
            states,
            results,
            history,
        )
        end = ops.while_loop(self._unfinished, self._advance, start)
        index, _, scores, _, results, history = end
        best = self._fill_up(results, index, scores, history)
        return self._trace(best, history)

    def _unfinished(self, index, tokens, scores, states, results, history):
        more = index < self.max_length
        if not self.early_stop:
            return more
        # A beam's score, below 0, can only sink; the penalty is largest at the end.
        hope = scores[:, 0] / length_penalty_of(self.max_length, self.alpha)
        hopeless = ops.logical_or(
            results["scores"][:, self.num_best - 1] >= hope, ~possible(scores[:, 0])
        )
        return ops.logical_and(more, ~ops.all(hopeless))

    def _advance(self, index, tokens, scores, states, results, history):
        given, new_states, alignment = self.step(ops.reshape(tokens, (-1,)), states)
        size = given.shape[-1]
        check_beam_search(self.beams, size=size)
        flat = (self.batch, self.beams * size)
        given = ops.reshape(usable(given), (self.batch, self.beams, size))
        totals = ops.maximum(ops.expand_dims(scores, -1) + given, IMPOSSIBLE)
        totals, places = ops.top_k(ops.reshape(totals, flat), 2 * self.beams)
        places = ops.cast(places, "int32")
        found = {
            "parents": places // size,
            "tokens": places % size,
            "gained": ops.take_along_axis(ops.reshape(given, flat), places, axis=-1),
        }
        ends = found["tokens"] == self.end_id  # (B, 2 K)
        results = self._collect(results, index, totals, ends, found)
        scores, chosen = ops.top_k(ops.where(ends, IMPOSSIBLE, totals), self.beams)
        new = pick(found, chosen)
        shape = (self.batch, self.beams, self.width)
        rows = {**new, "alignment": ops.reshape(alignment, shape)}
        starts = ops.expand_dims(ops.arange(self.batch, dtype="int32"), -1) * self.beams
        kept = ops.reshape(starts + new["parents"], (-1,))  # (B K,)
        new_states = take_rows(new_states, kept)
        return (
            index + 1,
            new["tokens"],
            scores,
            like(states, new_states),
            results,
            write(history, index, rows),
        )

    def _collect(self, results, index, totals, ends, found):
        """Returns the K best of the results so far and of what ends at this step."""
        penalty = length_penalty_of(ops.cast(index + 1, "float32"), self.alpha)
        first = ops.arange(2 * self.beams, dtype="int32") < self.beams
        ending = ops.logical_and(ops.logical_and(ends, first), possible(totals))
        scores = ops.where(ending, totals / penalty, IMPOSSIBLE)
        steps = ops.broadcast_to(index, ops.shape(scores))
        ended = {**found, "scores": scores, "steps": steps}
        joined = join(results, ended)
        scores, chosen = ops.top_k(joined["scores"], self.beams)
        return pick(joined, chosen)

    def _fill_up(self, results, index, scores, history):
        """Returns the `num_best` results, with beams cut off where too few ended."""
        full = ops.logical_and(index >= self.max_length, possible(scores))
        penalty = length_penalty_of(self.max_length, self.alpha)
        cut = {name: history[name][-1] for name in _BEAM_DTYPES}
        cut["scores"] = ops.where(full, scores / penalty, IMPOSSIBLE)
        cut["steps"] = ops.full_like(cut["tokens"], self.max_length - 1)
        count = ops.sum(ops.cast(possible(results["scores"]), "int32"), axis=-1)
        count = ops.expand_dims(count, -1)  # (B, 1)
        place = ops.expand_dims(ops.arange(self.num_best, dtype="int32"), 0)
        place = ops.where(place < count, place, self.beams + place - count)
        best = pick(join(results, cut), place)
        best["steps"] = ops.where(possible(best["scores"]), best["steps"], -1)
        return best

    def _trace(self, best, history):
        """Returns the `Decoded` of results `(B, R)`, from their ends to the start."""
        steps = best["steps"]

        def unfinished(index, pointers, traced):
            return index >= 0

        def back(index, pointers, traced):
            rows = {
                name: ops.take(history[name], index, axis=0) for name in _BEAM_DTYPES
            }
            rows = pick(rows, pointers)
            for name in rows:
                rows[name] = ops.where(steps == index, best[name], rows[name])
                zero = ops.zeros_like(rows[name])
                rows[name] = ops.where(steps < index, zero, rows[name])
            parents = ops.where(steps < index, pointers, rows["parents"])
            return index - 1, parents, write(traced, index, rows)

        shape = (self.max_length, self.batch, self.num_best)
        traced = {
            name: ops.zeros(shape, dtype=dtype) for name, dtype in _BEAM_DTYPES.items()
        }
        start = ops.convert_to_tensor(self.max_length - 1, dtype="int32")
        start = (start, ops.zeros_like(steps), traced)
        traced = ops.while_loop(unfinished, back, start)[-1]
        time = ops.reshape(ops.arange(self.max_length, dtype="int32"), (-1, 1, 1))
        inside = ops.expand_dims(time <= ops.expand_dims(steps, 0), -1)
        parents = ops.expand_dims(traced["parents"], -1)  # (T, B, R, 1)
        alignment = ops.take_along_axis(history["alignment"], parents, axis=2)
        alignment = ops.where(inside, alignment, 0.0)  # (T, B, R, S)
        scores = best["scores"]
        return Decoded(
            ops.transpose(traced["tokens"], (1, 2, 0)),
            ops.where(possible(scores), scores, float("-inf")),
            ops.transpose(traced["gained"], (1, 2, 0)),
            ops.transpose(alignment, (1, 2, 0, 3)),
        )


_BEAM_DTYPES = {"parents": "int32", "tokens": "int32", "gained": "float32"}


def possible(scores):
    """Returns whether a score is that of something, and not of a dead beam."""
    return scores > IMPOSSIBLE / 2


def pick(tensors, places):
    """Returns a dict of tensors `(B, N)` at the places `(B, M)`, as `(B, M)`."""
    places = ops.cast(places, "int32")
    return {n: ops.take_along_axis(x, places, axis=-1) for n, x in tensors.items()}


def join(one, other):
    """Returns two dicts of tensors `(B, N)` and `(B, M)` side by side."""
    return {name: ops.concatenate([one[name], other[name]], axis=-1) for name in one}
