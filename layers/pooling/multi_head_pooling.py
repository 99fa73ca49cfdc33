"""Multi-head attention pooling: learned queries sum up a sequence."""

import keras
from keras import ops

from attention_zoo.layers.core.inputs import cast_integers
from attention_zoo.layers.core.validation import (
    check_arguments,
    check_positive_integer,
    check_rank,
)
from attention_zoo.layers.pooling.base import PoolingLayer
from attention_zoo.layers.sequence.multi_head import MultiHeadAttention


@keras.saving.register_keras_serializable("attention_zoo")
class MultiHeadAttentionPooling(PoolingLayer, MultiHeadAttention):  # type: ignore[misc]
    """Pooling by multi-head attention: learned queries attend to the sequence.

    1. Queries: the weight `queries` of shape `(num_queries, D)`, the same for all rows.
    2. Output: `MultiHeadAttention` of the queries to the inputs.

    It is the attention inside the Set Transformer's pooling, and the class attention of
    CaiT with the class token as `queries`; their residuals, normalizations and
    feed-forward layers are left to the caller. A row of padding gives zeros.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width of each head's queries and keys.
        num_queries: Integer. Number of learned queries `Q`. Defaults to `1`.
        value_dim: Integer. Width of each head's values. Defaults to `None`, which
            stands for `key_dim`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        use_bias: Boolean. Whether the projections have biases. Defaults to `True`.
        output_shape: Integer. Width of the output. Defaults to `None`, which stands for
            the width of the inputs.
        score: String or `Score` layer, shared by the heads, or a list of one for each
            head. Defaults to `"scaled_dot"`.
        normalizer: String or `Normalizer` layer, or a list of one for each head.
            Defaults to `"softmax"`.
        num_kv_heads: Integer. Number of key and value heads, a divisor of `num_heads`.
            Defaults to `None`, which stands for `num_heads`.
        position: String or `Position` layer. `"rotary"`, `"alibi"` or
            `"relative_bias"`; the queries count as positions 0 to `Q - 1`.
            Defaults to `None`.
        window: Integer or pair `(left, right)`. Query `i` sees positions `i - left` to
            `i + right`. Defaults to `None`, which stands for all.
        block_size: Integer or `"auto"`. Number of queries evaluated at a time, for
            memory-efficient evaluation. Defaults to `None`, which stands for all.
        talking_heads: Boolean. Whether learned `(H, H)` kernels mix the heads' scores
            and their weights. Defaults to `False`.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.
        seed: Integer. Seed of the dropout. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.

    Returns:
        Output of shape `(B, output_shape)`, or `(B, Q, output_shape)` with more
        queries; with `return_attention_scores=True` the weights of shape
        `(B, H, Q, T)` too, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.rand(2, 5, 8)
    layer = layers.MultiHeadAttentionPooling(num_heads=2, key_dim=4)
    assert layer(x).shape == (2, 8)
    layer = layers.MultiHeadAttentionPooling(num_heads=2, key_dim=4, num_queries=3)
    assert layer(x).shape == (2, 3, 8)
    ```

    References:
        - Lee et al. 2019, https://arxiv.org/abs/1810.00825
        - Touvron et al. 2021, https://arxiv.org/abs/2103.17239
    """

    ranks = (1,)

    def __init__(
        self,
        num_heads,
        key_dim,
        num_queries=1,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        score="scaled_dot",
        normalizer="softmax",
        num_kv_heads=None,
        position=None,
        window=None,
        block_size=None,
        talking_heads=False,
        kernel_initializer="glorot_uniform",
        seed=None,
        **kwargs,
    ):
        check_arguments(type(self), kwargs)
        super().__init__(
            num_heads=num_heads,
            key_dim=key_dim,
            value_dim=value_dim,
            dropout=dropout,
            use_bias=use_bias,
            output_shape=output_shape,
            score=score,
            normalizer=normalizer,
            num_kv_heads=num_kv_heads,
            position=position,
            window=window,
            block_size=block_size,
            talking_heads=talking_heads,
            kernel_initializer=kernel_initializer,
            seed=seed,
            **kwargs,
        )
        check_positive_integer(type(self).__name__, num_queries=num_queries)
        self.num_queries = num_queries

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        self.queries = self.add_weight(
            name="queries",
            shape=(self.num_queries, input_shape[-1]),
            initializer="glorot_uniform",
        )
        MultiHeadAttention.build(
            self, (input_shape[0], self.num_queries, input_shape[-1]), input_shape
        )

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        inputs = cast_integers(inputs, self.compute_dtype)
        queries = ops.cast(ops.expand_dims(self.queries, 0), inputs.dtype)
        queries = ops.repeat(queries, ops.shape(inputs)[0], axis=0)  # (B, Q, D)
        result = MultiHeadAttention.call(
            self,
            queries,
            inputs,
            value_mask=mask,
            return_attention_scores=return_attention_scores,
            training=training,
        )
        output = result[0] if return_attention_scores else result
        if self.num_queries == 1:
            output = ops.squeeze(output, 1)
        return (output, result[1]) if return_attention_scores else output

    def compute_output_shape(self, input_shape):
        shape = (
            input_shape[0],
            self.num_queries,
            *(self._output_shape or input_shape[-1:]),
        )
        return shape if self.num_queries > 1 else (shape[0], *shape[2:])

    def compute_scores_shape(self, input_shape):
        return (input_shape[0], self.num_heads, self.num_queries, input_shape[1])

    def get_config(self):
        return {**super().get_config(), "num_queries": self.num_queries}
