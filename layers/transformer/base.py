"""What the transformer's encoder and decoder blocks share."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.validation import (
    check_mask,
    check_positive_integer,
    check_positive_number,
    check_rate,
)
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.sequence.multi_head import MultiHeadAttention
from attention_zoo.layers.sequence.per_head import serialize_parts
from attention_zoo.layers.transformer.feed_forward import FeedForward

# What a block sets itself, and `attention` must not.
TAKEN = ("dropout", "key_dim", "name", "num_heads", "output_shape", "seed")
# Names that configs of saved models have for the arguments.
EARLIER = {"epsilon": "layer_norm_epsilon", "norm_first": "normalize_first"}


class TransformerBlock(AttentionLayer):
    """Base of the encoder's and the decoder's block: arguments, sublayers, residual.

    Args:
        intermediate_dim: Integer. Width of the feed-forward layer.
        num_heads: Integer. Number of heads.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights and to
            the output of each sublayer. Defaults to `0.0`.
        activation: String or callable. Activation of the feed-forward layer.
            Defaults to `"relu"`.
        layer_norm_epsilon: Float. Added to the variance in the normalizations.
            Defaults to `1e-6`.
        kernel_initializer: Initializer of the kernels of attention and feed-forward
            layer. Defaults to `"glorot_uniform"`.
        normalize_first: Boolean. Whether the inputs of the sublayers are normalized
            instead of their sums. Defaults to `False`.
        key_dim: Integer. Width of each head. Defaults to `None`, which stands for
            `D / num_heads`.
        use_gate: Boolean. Whether the feed-forward layer is gated, as in GLU and
            SwiGLU; see `FeedForward`. Defaults to `False`.
        attention: Dict of further arguments of `MultiHeadAttention`, such as
            `{"position": "rotary", "block_size": "auto"}`. Defaults to `None`.
        seed: Integer. Seed of the dropout. Defaults to `None`.
    """

    def __init__(
        self,
        intermediate_dim,
        num_heads,
        *,
        dropout=0.0,
        activation="relu",
        layer_norm_epsilon=1e-6,
        kernel_initializer="glorot_uniform",
        normalize_first=False,
        key_dim=None,
        use_gate=False,
        attention=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(
            owner, intermediate_dim=intermediate_dim, num_heads=num_heads
        )
        if key_dim is not None:
            check_positive_integer(owner, key_dim=key_dim)
        check_rate(owner, dropout=dropout)
        check_positive_number(owner, layer_norm_epsilon=layer_norm_epsilon)
        if not isinstance(attention or {}, dict) or set(TAKEN) & set(attention or {}):
            raise ValueError(
                f"Invalid value for argument `attention` of `{owner}`. Expected None "
                "or a dict of arguments of `MultiHeadAttention` without "
                f"{list(TAKEN)}. Received: attention={attention!r}"
            )
        self.intermediate_dim = intermediate_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.normalize_first = normalize_first
        self.key_dim = key_dim
        self.use_gate = use_gate
        # As configs: each attention of the block gets scores and positions of its own.
        self.attention = attention and {
            name: keras.initializers.serialize(value)
            if isinstance(value, keras.Initializer)
            else serialize_parts(value)
            for name, value in attention.items()
        }
        self.seed = seed

    def _build_sublayer(self, sublayer, *shapes):
        """Returns a sublayer, built, with its normalization and its dropout."""
        dtype, name = self.dtype_policy, sublayer.name
        norm = keras.layers.LayerNormalization(
            epsilon=self.layer_norm_epsilon, name=f"{name}_norm", dtype=dtype
        )
        seed = None if self.seed is None else self.seed + 1
        drop = keras.layers.Dropout(
            self.dropout, seed=seed, name=f"{name}_dropout", dtype=dtype
        )
        hand_on(self._weight_options, sublayer)
        sublayer.build(*shapes)
        norm.build(shapes[0])
        return sublayer, norm, drop

    def _make_attention(self, name, width, **fixed):
        """Returns a `MultiHeadAttention` for inputs of width `width`."""
        if self.key_dim is None and width % self.num_heads:
            raise ValueError(
                f"`{type(self).__name__}` without `key_dim` expects inputs whose width "
                f"`num_heads` divides. Received: num_heads={self.num_heads}, "
                f"a width of {width}"
            )
        given = {"kernel_initializer": self._fresh_initializer()}
        return MultiHeadAttention(
            self.num_heads,
            self.key_dim or width // self.num_heads,
            dropout=self.dropout,
            seed=self.seed,
            name=name,
            dtype=self.dtype_policy,
            **{**given, **(self.attention or {}), **fixed},
        )

    def _make_feed_forward(self):
        return FeedForward(
            self.intermediate_dim,
            self.activation,
            self.use_gate,
            self._fresh_initializer(),
            name="feed_forward",
            dtype=self.dtype_policy,
        )

    def _fresh_initializer(self):
        """Returns a copy: one that has drawn with a seed draws the same again."""
        config = keras.initializers.serialize(self.kernel_initializer)
        return keras.initializers.get(config)

    def _residual(self, x, function, norm, drop, training):
        """Returns the sum of `x` and `function` of it, normalized before or after."""
        if self.normalize_first:
            return x + drop(function(norm(x)), training=training)
        return norm(x + drop(function(x), training=training))

    def _prepare(self, x, name, mask):
        """Returns a tensor with zeros at padding, and its mask `(B, T)` or None."""
        x = ops.cast(x, self.compute_dtype)
        shape = tuple(x.shape[:2])
        mask = check_mask(type(self).__name__, name, mask, shape)
        if mask is not None:
            mask = ops.broadcast_to(mask, ops.shape(x)[:2])
        return zero_padding(x, mask), mask

    def get_config(self):
        config = {
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "normalize_first": self.normalize_first,
            "key_dim": self.key_dim,
            "use_gate": self.use_gate,
            "attention": self.attention,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        return super().from_config({EARLIER.get(k, k): v for k, v in config.items()})
