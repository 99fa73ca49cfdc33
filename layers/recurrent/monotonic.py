"""Monotonic attention: each query goes on, to the right, where the last one was."""

import keras
from keras import ops

from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.scores import AdditiveScore
from attention_zoo.layers.core.validation import check_number
from attention_zoo.layers.recurrent.stepwise import StepwiseAttention

MOST_ROUNDS = 17  # enough for 131,072 keys, where a graph does not know their number


def monotonic_step(choice, previous):
    """Returns the probability that a query ends at each position.

    A query starts where the last one ended, and at each position stops with probability
    `p_j` or goes on to the next: `a_j = p_j q_j` with the probability to arrive
    `q_j = (1 - p_{j-1}) q_{j-1} + previous_j`. The paper solves the recurrence by a
    cumulative sum divided by a cumulative product, which underflows on long inputs;
    here it is solved by doubling, in about log2(Tv) rounds of products and sums of
    numbers in [0, 1]. With choices that are 0 or 1, it is the hard process.

    Args:
        choice: `p`, tensor `(B, Tv)`.
        previous: Tensor `(B, Tv)`, where the last query ended.

    Returns:
        Tensor `(B, Tv)`, which sums to at most 1: a query may run off the end.
    """
    length = ops.shape(choice)[1]
    known = isinstance(length, int)
    rounds = max(length - 1, 0).bit_length() if known else MOST_ROUNDS
    # q_j = keep_j q_{j-1} + arrive_j, over stretches of 1, 2, 4, ... positions.
    keep, arrive = _shift(1 - choice, 1, length), previous
    for power in range(rounds):
        step = 2**power
        arrive = arrive + keep * _shift(arrive, step, length)
        keep = keep * _shift(keep, step, length)
    return choice * arrive


def _shift(x, step, length):
    """Moves `x` `(B, Tv)` to the right by `step` positions, zeros coming in."""
    known = isinstance(length, int)
    step = min(step, length) if known else ops.minimum(step, length)
    return ops.concatenate([ops.zeros_like(x[:, :step]), x[:, : length - step]], axis=1)


@keras.saving.register_keras_serializable("attention_zoo")
class NormedAdditiveScore(AdditiveScore):
    """`g v' tanh(W1 q + W2 k + b) / |v|`: the additive score with a gain of its own.

    Salimans and Kingma 2016, https://arxiv.org/abs/1602.07868, on the score of Bahdanau
    et al. Weights: those of `AdditiveScore`, and `gain` of shape `()`, which starts at
    `1 / sqrt(units)`.

    Args:
        units: Width of the hidden layer. Defaults to `None`: as wide as the key.
    """

    def build(self, query_shape, key_shape=None):
        super().build(query_shape, key_shape)
        self.gain = self.add_weight(
            name="gain",
            shape=(),
            initializer=keras.initializers.Constant(self._units**-0.5),
        )

    def compare_weights(self):
        scale = ops.convert_to_tensor(self.scale)
        wide = ops.cast(scale, "float32")
        inverse = ops.rsqrt(ops.maximum(ops.sum(ops.square(wide)), 1e-12))
        return (scale * ops.cast(inverse, scale.dtype) * self.gain,)


@keras.saving.register_keras_serializable("attention_zoo")
class MonotonicAttention(StepwiseAttention):
    """Attention that only ever moves to the right, one position or more at a time.

    1. Energies `e_ij = s(q_i, k_j) + r`, shape `(B, Tq, Tv)`.
    2. Choices `p_ij = sigmoid(e_ij + noise)`, the probability to stop at position `j`,
       having arrived there.
    3. In training, weights are the probabilities that query `i` stops at `j`, where it
       starts from the position that query `i - 1` stopped at, the first query from the
       first position: `a_ij = p_ij q_ij`,
       `q_ij = (1 - p_i,j-1) q_i,j-1 + a_i-1,j`.
    4. At inference each query takes the first position with `p_ij > 0.5`, from the last
       query's on: weights are one-hot, and no later key is looked at. A gradient, if
       one is asked for, goes straight through to `p`.
    5. Output: the weighted sum of the values, shape `(B, Tq, Dv)`.

    A row sums to less than 1 where a query may run off the end; at inference such a
    query has zero weights and a zero output, and so have those after it. The state (see
    `StepwiseAttention`) is the last query's weights.

    Args:
        score: String or `Score` layer. `"dot"`, `"scaled_dot"`, `"cosine"`,
            `"general"`, `"concat"`, `"additive"` or `"location"`. Defaults to `None`:
            the paper's, `g v' tanh(W1 q + W2 k + b) / |v|`, a `NormedAdditiveScore`.
        units: Integer. Width of the hidden layer of the paper's score, `"additive"`
            and `"concat"`. Defaults to `None`: as wide as the key.
        noise: Number of at least 0. Standard deviation of the Gaussian noise that is
            added to energies in training, so that the choices learn to be near 0 or
            1. Defaults to `1.0`.
        initial_offset: Number. Initial value of the weight `offset` `()`, r above; a
            negative number makes the first queries look far. Defaults to `-1.0`.
        hard_inference: Boolean. Whether inference is hard. Defaults to `True`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights; the
            state keeps what was dropped. Defaults to `0.0`.
        seed: Integer. Seed of dropout and of the noise. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.
        state: Tensor of shape `(B, Tv)`, to go on from where earlier queries ended.
            Defaults to `initial_state`.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 11), "float32")
    layer = layers.MonotonicAttention(units=13)
    output, weights = layer(query, value, return_attention_scores=True)
    assert output.shape == (2, 3, 11) and weights.shape == (2, 3, 7)
    ```

    References:
        - Raffel et al. 2017, https://arxiv.org/abs/1704.00784
    """

    def __init__(
        self,
        score=None,
        units=None,
        noise=1.0,
        initial_offset=-1.0,
        hard_inference=True,
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_number(owner, minimum=0, noise=noise)
        check_number(owner, initial_offset=initial_offset)
        own = score is None
        self._set_parts(
            _make_own_score(units, self.dtype_policy) if own else score,
            units=None if own else units,
            dropout=dropout,
            seed=seed,
        )
        if own:
            self.score = None
        self.units = units
        self.noise = noise
        self.initial_offset = initial_offset
        self.hard_inference = hard_inference
        self.noise_generator = keras.random.SeedGenerator(seed)

    def build(self, query_shape, value_shape, key_shape=None):
        self.offset = self.add_weight(
            name="offset",
            shape=(),
            initializer=keras.initializers.Constant(self.initial_offset),
        )
        super().build(query_shape, value_shape, key_shape)

    def initial_state(self, batch, length, mask=None):
        first = ops.arange(length, dtype="int32") == 0
        return ops.broadcast_to(ops.cast(first, "float32"), (batch, length))

    def _prepare_queries(self, query, keys, training):
        """Returns the choices of all queries, `(B, Tq, Tv)` in float32."""
        weights = [ops.convert_to_tensor(w) for w in self._score.compare_weights()]
        scores = self._score.compare(self._score.project_query(query), keys, *weights)
        energies = ops.cast(scores + self.offset, "float32")
        if training and self.noise:
            energies = energies + self.noise * keras.random.normal(
                ops.shape(energies), dtype="float32", seed=self.noise_generator
            )
        choices = ops.sigmoid(energies)
        if self.hard_inference and not training:
            hard = ops.cast(energies > 0, "float32")
            return hard + (choices - ops.stop_gradient(choices))  # hard, exactly
        return choices

    def _advance(self, row, keys, state, mask):
        weights = monotonic_step(ops.where(mask, row, 0.0), state)
        return weights, weights

    def get_config(self):
        config = {
            "score": serialize_part(self.score),
            "units": self.units,
            "noise": self.noise,
            "initial_offset": self.initial_offset,
            "hard_inference": self.hard_inference,
            "dropout": self.dropout,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


def _make_own_score(units, dtype):
    return NormedAdditiveScore(units, name="normed_additive", dtype=dtype)
