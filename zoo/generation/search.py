"""Search for sequences: greedy, beam search and sampling, inside one graph.

All take a function of one step, `step(tokens, states)` or, with a `memory`,
`step(tokens, states, memory)`:

- `tokens`: int32 tensor `(N,)`, the last token of each row.
- `states`: any nest of tensors, batch first. Beams take rows of them.
- `memory`: any nest of tensors, batch first, that the steps read and leave as it is.

and that returns log-probabilities `(N, V)` of the next token, the new states in the
same nest, and the alignment `(N, S)`, what the step looked at.

Shapes: `B` sentences, `R` results for each, `T` steps at most, `V` tokens and `S`
source positions. Token 0 is padding and is never chosen. The loops have static shapes
and so run in a `tf.function` with XLA, in `jax.jit` and in a saved model.
"""

import collections

import keras
from keras import ops

from attention_zoo.layers.core.validation import (
    check_positive_integer,
    check_positive_number,
)

IMPOSSIBLE = -1e9  # stands for log 0, which arithmetic would turn into NaN

Decoded = collections.namedtuple(
    "Decoded", ["tokens", "scores", "log_probabilities", "alignment"]
)
Decoded.__doc__ = """What a search returns.

Attributes:
    tokens: int32 tensor `(B, R, T)`, the end token included, 0 after it.
    scores: Tensor `(B, R)`, what results are ordered by: the sum of the
        log-probabilities, which a beam search divides by the length penalty. Minus
        infinity, with no tokens, where there are fewer results than asked for.
    log_probabilities: Tensor `(B, R, T)`, of each token, 0 after the end.
    alignment: Tensor `(B, R, T, S)`, what each step looked at, 0 after the end.
"""


def greedy(step, states, shape, max_length, start_id, end_id, memory=None):
    """Takes the most probable token at each step.

    Args:
        step: Function of one step: `step(tokens, states)`, or with a `memory`
            `step(tokens, states, memory)`. See the module's docstring.
        states: Nest of tensors, batch first: the states before the first step.
        shape: Tuple `(B, S)` of integers or scalar tensors, the shape of the source.
        max_length: Integer `T`, the maximum number of tokens of a result, including
            the end token.
        start_id: Integer, the token before the first one.
        end_id: Integer, the token that ends a result.
        memory: Nest of tensors, the third argument of `step`. Defaults to `None`:
            `step` has two.

    Returns:
        A `Decoded` with `R = 1`.

    Example:

    ```python
    def step(tokens, states):  # token 2 is followed by 3, and all others by 1, the end
        after = ops.one_hot(ops.where(tokens == 2, 3, 1), 4)
        return ops.log(0.9 * after + 0.025), states, ops.ones((tokens.shape[0], 1))

    found = attention_zoo.generation.search.greedy(
        step, ops.zeros((2, 1)), (2, 1), max_length=5, start_id=2, end_id=1
    )
    assert ops.convert_to_numpy(found.tokens)[0, 0].tolist() == [3, 1, 0, 0, 0]
    ```
    """

    def choose(log_probabilities, index):
        return ops.argmax(log_probabilities, axis=-1)

    run = _StepByStep(step, memory, shape, max_length, start_id, end_id)
    return run.decode(states, choose)


def sample(
    step,
    states,
    shape,
    max_length,
    start_id,
    end_id,
    memory=None,
    num_samples=1,
    temperature=1.0,
    top_k=None,
    top_p=None,
    seed=None,
):
    """Draws a token at each step.

    Log-probabilities in the result are those of `step`, whatever the temperature.

    Args:
        step: Function of one step: `step(tokens, states)`, or with a `memory`
            `step(tokens, states, memory)`. See the module's docstring.
        states: Nest of tensors, batch first: the states before the first step.
        shape: Tuple `(B, S)` of integers or scalar tensors, the shape of the source.
        max_length: Integer `T`, the maximum number of tokens of a result, including
            the end token.
        start_id: Integer, the token before the first one.
        end_id: Integer, the token that ends a result.
        memory: Nest of tensors, the third argument of `step`. Defaults to `None`:
            `step` has two.
        num_samples: Integer `R`, the number of results for each sentence. Defaults to
            `1`.
        temperature: Float above 0 that log-probabilities are divided by: below 1,
            likely tokens become more likely. Defaults to `1.0`.
        top_k: Integer. Only the `top_k` most probable tokens are drawn. Defaults to
            `None`, all.
        top_p: Float in (0, 1]. Of those, only the fewest whose probabilities sum to at
            least `top_p` are drawn. Defaults to `None`, all.
        seed: Integer or `keras.random.SeedGenerator`. Defaults to `None`: different
            results each time.

    Returns:
        A `Decoded` with `R = num_samples`.

    Raises:
        ValueError: If an argument is invalid.

    Example:

    ```python
    def step(tokens, states):  # token 2 is followed by 3, and all others by 1, the end
        after = ops.one_hot(ops.where(tokens == 2, 3, 1), 4)
        return ops.log(0.9 * after + 0.025), states, ops.ones((tokens.shape[0], 1))

    found = attention_zoo.generation.search.sample(
        step, ops.zeros((2, 1)), (2, 1), 5, start_id=2, end_id=1, num_samples=3, seed=1
    )
    assert found.tokens.shape == (2, 3, 5)
    ```

    References:
        - [Holtzman et al., 2020](https://arxiv.org/abs/1904.09751): top-p sampling
    """
    check_sample(num_samples, temperature, top_k, top_p)
    run = _StepByStep(step, memory, shape, max_length, start_id, end_id, num_samples)
    # Drawn before the loop, in which a generator's state must not move.
    draws = keras.random.uniform((max_length, run.rows), dtype="float32", seed=seed)

    def choose(log_probabilities, index):
        return draw_tokens(
            log_probabilities,
            ops.take(draws, index, axis=0),
            temperature,
            top_k,
            top_p,
        )

    return run.decode(states, choose)


def check_sample(num_samples=1, temperature=1.0, top_k=None, top_p=None, seed=None):
    """Raises `ValueError` for options of `sample` that are out of their range."""
    check_positive_integer("sample", num_samples=num_samples)
    check_positive_number("sample", temperature=temperature)
    if top_k is not None:
        check_positive_integer("sample", top_k=top_k)
    if top_p is not None:
        check_positive_number("sample", top_p=top_p)
        if top_p > 1:
            raise ValueError(
                "Invalid value for argument `top_p` of `sample`. Expected a number in "
                f"(0, 1]. Received: top_p={top_p!r}"
            )


def draw_tokens(log_probabilities, draws, temperature=1.0, top_k=None, top_p=None):
    """Returns the tokens `(N,)` that uniform numbers stand for.

    Tokens are lined up from the most probable to the least, each as long as its
    probability; the draw is a place on that line.

    Args:
        log_probabilities: Tensor `(N, V)`.
        draws: Tensor `(N,)`, numbers in `[0, 1)`.
        temperature, top_k, top_p: The arguments of `sample`.
    """
    size = log_probabilities.shape[-1]
    kept = size if top_k is None else min(top_k, size)
    given, order = ops.top_k(log_probabilities, kept)
    # From the best, so that no temperature turns all of them into minus infinity.
    share = ops.softmax((given - given[:, :1]) / temperature, axis=-1)
    share = ops.where(given > IMPOSSIBLE / 2, share, 0.0)
    if top_p is not None:
        before = ops.cumsum(share, axis=-1) - share
        share = share * ops.cast(before < top_p, share.dtype)
    line = ops.cumsum(share, axis=-1)
    place = ops.expand_dims(draws, -1) * line[:, -1:]
    index = ops.sum(ops.cast(line <= place, "int32"), axis=-1)
    last = ops.sum(ops.cast(share > 0, "int32"), axis=-1) - 1
    index = ops.expand_dims(ops.minimum(index, last), -1)
    return ops.take_along_axis(ops.cast(order, "int32"), index, axis=-1)[:, 0]


class _StepByStep:
    """The loop of greedy search and of sampling: a row goes on by one token a step."""

    def __init__(
        self, step, memory, shape, max_length, start_id, end_id, num_results=1
    ):
        check_positive_integer("decoding", max_length=max_length)
        self.batch, self.width = shape
        self.num_results = num_results
        self.rows = self.batch * num_results
        self.step = bind_memory(step, memory, num_results)
        self.max_length = max_length
        self.start_id = start_id
        self.end_id = end_id

    def decode(self, states, choose):
        """Returns the `Decoded` of `choose(log-probabilities, index) -> tokens`."""

        def unfinished(index, tokens, ended, states, history):
            return ops.logical_and(
                index < self.max_length, ops.logical_not(ops.all(ended))
            )

        def advance(index, tokens, ended, states, history):
            given, new_states, alignment = self.step(tokens, states)
            given = usable(given)
            tokens = ops.where(ended, 0, ops.cast(choose(given, index), "int32"))
            gained = ops.take_along_axis(given, ops.expand_dims(tokens, -1), axis=-1)
            alignment = ops.cast(alignment, "float32")
            rows = {
                "tokens": tokens,
                "gained": ops.where(ended, 0.0, gained[:, 0]),
                "alignment": ops.where(ops.expand_dims(ended, -1), 0.0, alignment),
            }
            ended = ops.logical_or(ended, tokens == self.end_id)
            states = like(states, new_states)
            return index + 1, tokens, ended, states, write(history, index, rows)

        time, rows = self.max_length, self.rows
        history = {
            "tokens": ops.zeros((time, rows), dtype="int32"),
            "gained": ops.zeros((time, rows), dtype="float32"),
            "alignment": ops.zeros((time, rows, self.width), dtype="float32"),
        }
        start = (
            ops.convert_to_tensor(0, dtype="int32"),
            ops.full((rows,), self.start_id, dtype="int32"),
            ops.zeros((rows,), dtype="bool"),
            repeat_rows(states, self.num_results),
            history,
        )
        history = ops.while_loop(unfinished, advance, start)[-1]
        tokens, gained, alignment = (
            self._by_sentence(history[name])
            for name in ("tokens", "gained", "alignment")
        )
        return Decoded(tokens, ops.sum(gained, axis=-1), gained, alignment)

    def _by_sentence(self, held):
        """Returns a history `(T, B R, ...)` as `(B, R, T, ...)`."""
        held = ops.moveaxis(held, 0, 1)
        rest = ops.shape(held)[1:]
        return ops.reshape(held, (self.batch, self.num_results, *rest))


# === What the searches share ===


def bind_memory(step, memory, times):
    """Returns `step` as a function of tokens and states, for `times` rows of each."""
    if memory is None:
        return step
    memory = repeat_rows(memory, times)
    return lambda tokens, states: step(tokens, states, memory)


def repeat_rows(tensors, times):
    """Returns a nest of tensors, each row of each repeated `times` times."""
    if times == 1:
        return tensors
    return keras.tree.map_structure(lambda x: ops.repeat(x, times, axis=0), tensors)


def take_rows(tensors, rows):
    """Returns a nest of tensors, the given rows `(M,)` of each."""
    return keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), tensors)


def usable(log_probabilities):
    """Returns log-probabilities in float32, finite, and without padding."""
    given = ops.maximum(ops.cast(log_probabilities, "float32"), IMPOSSIBLE)
    padding = ops.arange(given.shape[-1], dtype="int32") == 0
    return ops.where(padding, IMPOSSIBLE, given)


def like(old, new):
    """Returns the nest `new` with the static shapes and the dtypes of `old`."""
    return keras.tree.map_structure(
        lambda a, b: ops.reshape(ops.cast(b, a.dtype), ops.shape(a)), old, new
    )


def write(history, index, rows):
    """Returns the dict `history` of tensors `(T, ...)` with `rows` at `index`."""
    return {
        name: ops.slice_update(
            held,
            (index, *(0,) * (len(held.shape) - 1)),
            ops.expand_dims(ops.cast(rows[name], held.dtype), 0),
        )
        for name, held in history.items()
    }
