"""Transformer blocks: what they share, and the encoder's."""

import keras

from attention_zoo.layers.core.validation import (
    check_positive_integer,
    check_rank,
    check_rate,
)
from attention_zoo.layers.sequence.attention import empty_padding
from attention_zoo.layers.sequence.multi_head import MultiHeadAttention
from attention_zoo.layers.sequence.per_head import serialize_parts
from attention_zoo.layers.transformer.feed_forward import FeedForward


class TransformerBlock(keras.layers.Layer):
    """What encoder and decoder blocks share: arguments, sublayers, the residual."""

    def __init__(
        self,
        num_heads,
        intermediate_dim,
        key_dim=None,
        dropout=0.0,
        activation="relu",
        norm_first=False,
        use_gate=False,
        epsilon=1e-6,
        attention=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(
            owner, num_heads=num_heads, intermediate_dim=intermediate_dim
        )
        if key_dim is not None:
            check_positive_integer(owner, key_dim=key_dim)
        check_rate(owner, dropout=dropout)
        taken = {"num_heads", "key_dim", "dropout", "output_shape", "seed", "name"}
        if not isinstance(attention or {}, dict) or taken & set(attention or {}):
            raise ValueError(
                f"Invalid value for argument `attention` of `{owner}`. Expected None "
                "or a dict of arguments of `MultiHeadAttention` without "
                f"{sorted(taken)}. Received: attention={attention!r}"
            )
        self.num_heads = num_heads
        self.intermediate_dim = intermediate_dim
        self.key_dim = key_dim
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.norm_first = norm_first
        self.use_gate = use_gate
        self.epsilon = epsilon
        # As configs: each attention of the block gets scores and positions of its own.
        self.attention = attention and {
            name: keras.initializers.serialize(value)
            if isinstance(value, keras.Initializer)
            else serialize_parts(value)
            for name, value in attention.items()
        }
        self.seed = seed
        self.supports_masking = True

    def _part(self, sublayer, *shapes):
        """Returns a sublayer, built, with its normalization and its dropout."""
        dtype, name = self.dtype_policy, sublayer.name
        norm = keras.layers.LayerNormalization(
            epsilon=self.epsilon, name=f"{name}_norm", dtype=dtype
        )
        seed = None if self.seed is None else self.seed + 1
        drop = keras.layers.Dropout(
            self.dropout, seed=seed, name=f"{name}_dropout", dtype=dtype
        )
        sublayer.build(*shapes)
        norm.build(shapes[0])
        return sublayer, norm, drop

    def _attention(self, name, width, **fixed):
        """Returns a `MultiHeadAttention` of width `width`."""
        if self.key_dim is None and width % self.num_heads:
            raise ValueError(
                f"`{type(self).__name__}` without `key_dim` expects inputs whose width "
                f"`num_heads` divides. Received: num_heads={self.num_heads}, "
                f"a width of {width}"
            )
        return MultiHeadAttention(
            self.num_heads,
            self.key_dim or width // self.num_heads,
            dropout=self.dropout,
            seed=self.seed,
            name=name,
            dtype=self.dtype_policy,
            **{**(self.attention or {}), **fixed},
        )

    def _feed_forward(self):
        return FeedForward(
            self.intermediate_dim,
            self.activation,
            self.use_gate,
            name="feed_forward",
            dtype=self.dtype_policy,
        )

    def _residual(self, x, function, norm, drop, training):
        """Returns `x` plus what `function` gives, normalized before or after."""
        if self.norm_first:
            return x + drop(function(norm(x)), training=training)
        return norm(x + drop(function(x), training=training))

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "key_dim": self.key_dim,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "norm_first": self.norm_first,
            "use_gate": self.use_gate,
            "epsilon": self.epsilon,
            "attention": self.attention,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("attention_zoo")
class TransformerEncoderBlock(TransformerBlock):
    """Self-attention and a feed-forward layer, each with residual and normalization.

    Normalized after (`norm_first=False`, as in the paper), or before each sublayer:

    1. `x = norm(x + attention(x))`, or `x + attention(norm(x))`, `(B, T, D)`.
    2. `x = norm(x + feed(x))`, or `x + feed(norm(x))`, `(B, T, D)`.

    With `norm_first` the sum leaves unnormalized: normalize after the last block.
    Masked positions give zeros. `record_attention` sees the weights, as those of the
    sublayer `self_attention`.

    Args:
        num_heads: Number of heads.
        intermediate_dim: Width of the feed-forward layer.
        key_dim: Width of each head. Defaults to `None`: `D / num_heads`.
        dropout: Share dropped in training, of attention weights and of what each
            sublayer adds. Defaults to `0.0`.
        activation: Activation of the feed-forward layer. Defaults to `"relu"`.
        norm_first: Whether the sublayers' inputs are normalized and not their sums.
            Defaults to `False`.
        use_gate: Whether the feed-forward layer is gated, as in GLU and SwiGLU; see
            `FeedForward`. Defaults to `False`.
        epsilon: Small number of the normalizations. Defaults to `1e-6`.
        attention: Dict of further arguments of `MultiHeadAttention`, as in
            `{"position": "rotary", "block_size": "auto"}`. Defaults to `None`.
        seed: Python integer for dropout. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, T, T)` or `(B, H, T, T)`.
        training: Boolean.
        use_causal_mask: Whether position `i` sees positions up to `i` only.

    Returns:
        Output of shape `(B, T, D)`.

    References:
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
        - Normalized first: Xiong et al. 2020, https://arxiv.org/abs/2002.04745
    """

    def build(self, input_shape):
        shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=shape)
        attend = self._attention("self_attention", shape[-1])
        self._attend, *self._attend_rest = self._part(attend, shape, shape)
        self._feed, *self._feed_rest = self._part(self._feed_forward(), shape)
        self.built = True

    def call(
        self,
        inputs,
        mask=None,
        attention_mask=None,
        training=None,
        use_causal_mask=False,
    ):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        if mask is None:  # Keras fills it in only where there is no other tensor
            mask = getattr(inputs, "_keras_mask", None)

        def attend(x):
            return self._attend(
                x,
                x,
                query_mask=mask,
                value_mask=mask,
                attention_mask=attention_mask,
                training=training,
                use_causal_mask=use_causal_mask,
            )

        x = empty_padding(inputs, mask)
        x = self._residual(x, attend, *self._attend_rest, training)
        x = self._residual(x, self._feed, *self._feed_rest, training)
        return empty_padding(x, mask)

    def compute_output_shape(self, input_shape):
        return input_shape
