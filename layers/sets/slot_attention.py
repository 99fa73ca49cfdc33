"""Slots that compete for the inputs: slot attention."""

import math

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import (
    check_optional_integers,
    check_positive_integer,
    check_positive_number,
    check_rank,
)
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.sets._block import repeat_rows, zero_empty_sets
from attention_zoo.layers.transformer.feed_forward import FeedForward


@keras.saving.register_keras_serializable("attention_zoo")
class SlotAttention(SelfAttentionLayer):
    """Slots compete for the inputs and explain a part each, in a few iterations.

    1. Slots: draws from a learned normal distribution, `mean + exp(log_scale) * noise`,
       shape `(B, S, Ds)`.
    2. Weights: `softmax(key(norm(x)) . query(norm(slots)) / sqrt(Ds))` over the slots,
       shape `(B, N, S)`: slots compete for each input.
    3. Updates: the mean of `value(norm(x))` with the weights, plus `epsilon`, of each
       slot, shape `(B, S, Ds)`.
    4. `slots = gru(updates, slots)`, then `slots = slots + feed(norm(slots))`.
    5. Steps 2 to 4 are iterated.

    In training each call draws anew. Otherwise the draws are those of the weight
    `noise` `(S, Ds)`, which is not trained, so that equal inputs give equal slots.
    Other weights: `mean` and `log_scale` `(Ds,)`, `query`, `key` and `value` without
    biases, `gru`, `feed_forward`, and `inputs_norm`, `slots_norm`, `feed_norm`. A row
    of padding gives zeros.

    Args:
        num_slots: Integer. Number of slots `S`. Defaults to `7`.
        slot_dim: Integer. Width `Ds` of the slots. Defaults to `None`, which stands for
            the width of the inputs.
        iterations: Integer. Number of iterations. Defaults to `3`.
        intermediate_dim: Integer. Width of the feed-forward layer. Defaults to `None`,
            which stands for `2 * Ds`.
        epsilon: Float. Added to the weights in the mean. Defaults to `1e-8`.
        seed: Integer. Seed of the draws. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, N, D)`.
        mask: Boolean tensor of shape `(B, N)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether the slots are drawn anew.

    Returns:
        Output of shape `(B, S, Ds)`, and with `return_attention_scores=True` the
        weights of the last iteration, of shape `(B, N, S)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    inputs = np.random.normal(size=(2, 9, 8)).astype("float32")
    layer = layers.SlotAttention(num_slots=3, slot_dim=6, seed=1)
    output, weights = layer(inputs, return_attention_scores=True)
    assert output.shape == (2, 3, 6)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, atol=1e-5)
    ```

    References:
        - Locatello et al. 2020, https://arxiv.org/abs/2006.15055
    """

    family = "set"
    weights_are = "slots"
    call_options = ("return_attention_scores",)

    def __init__(
        self,
        num_slots=7,
        slot_dim=None,
        iterations=3,
        intermediate_dim=None,
        epsilon=1e-8,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, num_slots=num_slots, iterations=iterations)
        check_optional_integers(
            owner, slot_dim=slot_dim, intermediate_dim=intermediate_dim
        )
        check_positive_number(owner, epsilon=epsilon)
        self.num_slots = num_slots
        self.slot_dim = slot_dim
        self.iterations = iterations
        self.intermediate_dim = intermediate_dim
        self.epsilon = epsilon
        self.seed = seed
        self._seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        width = self.slot_dim or input_shape[-1]
        slots = (input_shape[0], self.num_slots, width)
        self.mean = self.add_weight(name="mean", shape=(width,))
        self.log_scale = self.add_weight(name="log_scale", shape=(width,))
        self.noise = self.add_weight(
            name="noise",
            shape=slots[1:],
            initializer=keras.initializers.RandomNormal(stddev=1.0, seed=self.seed),
            trainable=False,
        )
        self._query = self._dense("query", width, slots)
        self._key = self._dense("key", width, input_shape)
        self._value = self._dense("value", width, input_shape)
        self._inputs_norm = self._norm("inputs_norm", input_shape)
        self._slots_norm = self._norm("slots_norm", slots)
        self._feed_norm = self._norm("feed_norm", slots)
        self._gru = keras.layers.GRUCell(
            width,
            recurrent_initializer="glorot_uniform",  # there is no QR in bfloat16
            dtype=self.dtype_policy,
            name="gru",
        )
        self._gru.build((None, width))
        hidden = self.intermediate_dim or 2 * width
        self._feed = FeedForward(hidden, dtype=self.dtype_policy, name="feed_forward")
        self._feed.build(slots)
        self.built = True

    def _dense(self, name, width, shape):
        dense = keras.layers.Dense(
            width, use_bias=False, dtype=self.dtype_policy, name=name
        )
        hand_on(self._weight_options, dense)
        dense.build(shape)
        return dense

    def _norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=self.dtype_policy, name=name
        )
        norm.build(shape)
        return norm

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        x, mask = self._mask_inputs(inputs, mask)
        x = self._inputs_norm(x)
        key, value = self._key(x), widen(self._value(x))
        slots = self._draw(x, training)
        for _ in range(self.iterations):
            weights = self._weigh(slots, key, mask)  # (B, N, S)
            slots = self._update(slots, value, weights, mask)
        output = zero_empty_sets(slots, mask)
        weights = ops.cast(weights, self.compute_dtype)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _draw(self, x, training):
        """Returns the first slots, `(B, S, Ds)`."""
        noise = repeat_rows(self.noise, x)
        if training:
            shape = ops.shape(noise)
            noise = keras.random.normal(shape, dtype=x.dtype, seed=self._seed_generator)
        scale = ops.cast(ops.exp(self.log_scale), x.dtype)
        return ops.cast(self.mean, x.dtype) + scale * noise

    def _weigh(self, slots, key, mask):
        """Returns the shares of the slots in each input, `(B, N, S)`."""
        query = self._query(self._slots_norm(slots))
        scores = ops.matmul(key, ops.swapaxes(query, 1, 2))
        scores = widen(scores) / math.sqrt(query.shape[-1])
        return masked_softmax(scores, None if mask is None else mask[..., None])

    def _update(self, slots, value, weights, mask):
        """Returns the slots after an iteration."""
        shares = weights + self.epsilon
        if mask is not None:
            shares = ops.where(mask[..., None], shares, ops.zeros_like(shares))
        total = ops.sum(shares, axis=1, keepdims=True)
        shares = shares / ops.where(total > 0, total, ops.ones_like(total))
        updates = ops.matmul(ops.swapaxes(shares, 1, 2), value)  # (B, S, Ds)
        width = slots.shape[-1]
        updates = ops.reshape(ops.cast(updates, slots.dtype), (-1, width))
        state, _ = self._gru(updates, [ops.reshape(slots, (-1, width))])
        slots = ops.reshape(state, (-1, self.num_slots, width))
        return slots + self._feed(self._feed_norm(slots))

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_slots, self.slot_dim or input_shape[-1])

    def compute_scores_shape(self, input_shape):
        return (*input_shape[:2], self.num_slots)

    def get_config(self):
        config = {
            "num_slots": self.num_slots,
            "slot_dim": self.slot_dim,
            "iterations": self.iterations,
            "intermediate_dim": self.intermediate_dim,
            "epsilon": self.epsilon,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
