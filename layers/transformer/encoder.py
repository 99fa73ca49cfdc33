"""The transformer's encoder block."""

import keras

from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.validation import check_rank
from attention_zoo.layers.transformer.base import TransformerBlock


@keras.saving.register_keras_serializable("attention_zoo")
class TransformerEncoderBlock(TransformerBlock):
    """Self-attention and a feed-forward layer, each with residual and normalization.

    Normalized after (`normalize_first=False`, as in the paper), or before each
    sublayer:

    1. `x = norm(x + attention(x))`, or `x + attention(norm(x))`, `(B, T, D)`.
    2. `x = norm(x + feed(x))`, or `x + feed(norm(x))`, `(B, T, D)`.

    With `normalize_first` the sum leaves unnormalized: normalize after the last block.
    Masked positions give zeros. `record_attention` sees the weights, as those of the
    sublayer `self_attention`.

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

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, T, T)` or `(B, H, T, T)`.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether position `i` sees positions up to `i` only.

    Returns:
        Output of shape `(B, T, D)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    block = layers.TransformerEncoderBlock(64, num_heads=8, normalize_first=True)
    assert block(np.random.rand(2, 5, 16)).shape == (2, 5, 16)
    ```

    References:
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
        - Normalized first: Xiong et al. 2020, https://arxiv.org/abs/2002.04745
    """

    call_options = ("attention_mask", "use_causal_mask")

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
        super().__init__(
            intermediate_dim,
            num_heads,
            dropout=dropout,
            activation=activation,
            layer_norm_epsilon=layer_norm_epsilon,
            kernel_initializer=kernel_initializer,
            normalize_first=normalize_first,
            key_dim=key_dim,
            use_gate=use_gate,
            attention=attention,
            seed=seed,
            **kwargs,
        )

    def build(self, input_shape):
        shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=shape)
        attend = self._make_attention("self_attention", shape[-1])
        self._attend, *self._attend_rest = self._build_sublayer(attend, shape, shape)
        self._feed, *self._feed_rest = self._build_sublayer(
            self._make_feed_forward(), shape
        )
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

        x, mask = self._prepare(inputs, "mask", mask)

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

        x = self._residual(x, attend, *self._attend_rest, training)
        x = self._residual(x, self._feed, *self._feed_rest, training)
        return zero_padding(x, mask)

    def compute_output_shape(self, input_shape):
        return input_shape
