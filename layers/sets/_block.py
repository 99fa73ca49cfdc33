"""One set attends to another: attention and feed-forward layer, with residuals."""

import keras
from keras import ops

from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.validation import (
    check_number,
    check_optional_integers,
    check_positive_integer,
    check_rate,
)
from attention_zoo.layers.core.weight_options import WeightOptions
from attention_zoo.layers.sequence.multi_head import MultiHeadAttention
from attention_zoo.layers.transformer.feed_forward import FeedForward

ARGUMENTS = (
    "num_heads",
    "key_dim",
    "intermediate_dim",
    "activation",
    "dropout",
    "layer_norm_epsilon",
    "kernel_initializer",
    "seed",
)


class MultiHeadBlock(WeightOptions):
    """Multi-head attention of `query` to `value` and a feed-forward layer.

    Normalized after: `h = norm(x + attention(x, y))`, `norm(h + feed(h))`. Normalized
    before: `h = x + attention(norm(x), norm(y))`, `h + feed(norm(h))`.

    Weights: `attention`, `feed_forward`, `attention_norm`, `feed_forward_norm`, and
    `value_norm` where values are normalized on their own.

    Args:
        num_heads: Number of heads.
        key_dim: Width of a head, or None for `D / num_heads`, rounded up.
        intermediate_dim: Width of the feed-forward layer, or None for `D`.
        activation: Activation of the feed-forward layer.
        dropout: Dropout rate of the attention weights.
        layer_norm_epsilon: Added to the variance in the normalizations.
        kernel_initializer: Initializer of the kernels.
        seed: Seed of the dropout.
        normalize_first: Whether inputs are normalized instead of sums.
        normalize_value: With `normalize_first`, whether `value` has a normalization
            of its own instead of the query's.

    Call arguments:
        query: Tensor `(B, Tq, D)`.
        value: Tensor `(B, Tv, Dv)`, with zeros at padding.
        value_mask: Boolean tensor `(B, Tv)` or None.
        training: Boolean.
        need_weights: Boolean.

    Returns:
        Output `(B, Tq, D)`, and the weights `(B, H, Tq, Tv)` or None.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        intermediate_dim,
        activation,
        dropout,
        layer_norm_epsilon,
        kernel_initializer,
        seed,
        normalize_first=False,
        normalize_value=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.intermediate_dim = intermediate_dim
        self.activation = activation
        self.dropout = dropout
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = kernel_initializer
        self.seed = seed
        self.normalize_first = normalize_first
        self.normalize_value = normalize_value

    def build(self, query_shape, value_shape):
        query_shape, value_shape = tuple(query_shape), tuple(value_shape)
        width, policy = query_shape[-1], self.dtype_policy
        self._attention = MultiHeadAttention(
            self.num_heads,
            self.key_dim or -(-width // self.num_heads),
            dropout=self.dropout,
            kernel_initializer=self.kernel_initializer,
            seed=self.seed,
            dtype=policy,
            name="attention",
        )
        self._attention.build(query_shape, value_shape)
        self._feed = FeedForward(
            self.intermediate_dim or width,
            activation=self.activation,
            kernel_initializer=self.kernel_initializer,
            dtype=policy,
            name="feed_forward",
        )
        self._feed.build(query_shape)
        self._attention_norm = self._norm("attention_norm", query_shape)
        self._feed_norm = self._norm("feed_forward_norm", query_shape)
        self._value_norm = self._attention_norm
        if self.normalize_value:
            self._value_norm = self._norm("value_norm", value_shape)
        self.built = True

    def _norm(self, name, shape):
        norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )
        norm.build(shape)
        return norm

    def call(self, query, value, value_mask=None, training=None, need_weights=False):
        given, seen = query, value
        if self.normalize_first:
            given = self._attention_norm(query)
            seen = zero_padding(self._value_norm(value), value_mask)
        result = self._attention(
            given,
            seen,
            value_mask=value_mask,
            return_attention_scores=need_weights,
            training=training,
        )
        attended, weights = result if need_weights else (result, None)
        hidden = query + attended
        if self.normalize_first:
            return hidden + self._feed(self._feed_norm(hidden)), weights
        hidden = self._attention_norm(hidden)
        return self._feed_norm(hidden + self._feed(hidden)), weights


def keep_arguments(
    layer,
    num_heads,
    key_dim,
    intermediate_dim,
    activation,
    dropout,
    layer_norm_epsilon,
    kernel_initializer,
    seed,
):
    """Checks the arguments of a layer's blocks and keeps them as its attributes."""
    owner = type(layer).__name__
    check_positive_integer(owner, num_heads=num_heads)
    check_optional_integers(owner, key_dim=key_dim, intermediate_dim=intermediate_dim)
    check_rate(owner, dropout=dropout)
    check_number(owner, above=0, layer_norm_epsilon=layer_norm_epsilon)
    layer.num_heads = num_heads
    layer.key_dim = key_dim
    layer.intermediate_dim = intermediate_dim
    layer.activation = keras.activations.get(activation)
    layer.dropout = dropout
    layer.layer_norm_epsilon = layer_norm_epsilon
    layer.kernel_initializer = keras.initializers.get(kernel_initializer)
    layer.seed = seed


def block_config(layer):
    """Returns the arguments that `keep_arguments` kept, as `get_config` has them."""
    config = {name: getattr(layer, name) for name in ARGUMENTS}
    config["activation"] = keras.activations.serialize(layer.activation)
    initializer = keras.initializers.serialize(layer.kernel_initializer)
    return {**config, "kernel_initializer": initializer}


def make_block(layer, name, **options):
    """Returns a `MultiHeadBlock` of the layer's arguments, with its own initializer."""
    config = {key: getattr(layer, key) for key in ARGUMENTS}
    initializer = keras.initializers.serialize(layer.kernel_initializer)
    config["kernel_initializer"] = keras.initializers.get(initializer)
    return MultiHeadBlock(**config, **options, dtype=layer.dtype_policy, name=name)


def repeat_rows(weight, inputs):
    """Returns a weight `(S, D)` once for each row of `inputs`, `(B, S, D)`."""
    weight = ops.expand_dims(ops.cast(weight, inputs.dtype), 0)
    return ops.repeat(weight, ops.shape(inputs)[0], axis=0)


def zero_empty_sets(output, mask):
    """Returns `output` `(B, S, D)` with zeros where the set of a row is empty."""
    if mask is None:
        return output
    return zero_padding(output, ops.any(mask, axis=1, keepdims=True))
