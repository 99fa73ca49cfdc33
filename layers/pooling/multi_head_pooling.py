"""Multi-head attention pooling: learned queries sum up a sequence."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_positive_integer, check_rank
from attention_zoo.layers.sequence.multi_head import MultiHeadAttention


@keras.saving.register_keras_serializable("attention_zoo")
class MultiHeadAttentionPooling(MultiHeadAttention):
    """Pooling by multi-head attention: learned queries attend to the sequence.

    1. Queries: the weight `queries` of shape `(num_queries, D)`, the same for all rows.
    2. Output: `MultiHeadAttention` of the queries to the inputs.

    It is the attention inside the Set Transformer's pooling, and the class attention of
    CaiT with the class token as `queries`; their residuals, normalizations and
    feed-forward layers are left to the caller. A row of padding gives zeros.

    Args:
        num_heads: Number of heads `H`.
        key_dim: Width of each head's queries and keys.
        num_queries: Number of learned queries `Q`. Defaults to `1`.
        value_dim, dropout, use_bias, output_shape, score, normalizer, num_kv_heads,
            position, window, block_size, talking_heads, kernel_initializer, seed: As in
            `MultiHeadAttention`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Whether the weights are returned too.
        training: Boolean.

    Returns:
        Output of shape `(B, output_shape)`, or `(B, Q, output_shape)` with more
        queries; with `return_attention_scores=True` the weights of shape
        `(B, H, Q, T)` too, dropout included.

    Raises:
        ValueError: for an argument outside its set, and for inputs of another rank.

    References:
        - Lee et al. 2019, https://arxiv.org/abs/1810.00825
        - Touvron et al. 2021, https://arxiv.org/abs/2103.17239
    """

    family = "pooling"
    needs_value = False

    def __init__(self, num_heads, key_dim, num_queries=1, **kwargs):
        super().__init__(num_heads, key_dim, **kwargs)
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
        super().build((input_shape[0], self.num_queries, input_shape[-1]), input_shape)

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        queries = ops.cast(ops.expand_dims(self.queries, 0), inputs.dtype)
        queries = ops.repeat(queries, ops.shape(inputs)[0], axis=0)  # (B, Q, D)
        result = super().call(
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

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        shape = (
            input_shape[0],
            self.num_queries,
            self._output_width or input_shape[-1],
        )
        return shape if self.num_queries > 1 else (shape[0], shape[2])

    def compute_output_spec(
        self, inputs, mask=None, return_attention_scores=False, training=None
    ):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        shape = self.compute_output_shape(inputs.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        scores_shape = (inputs.shape[0], self.num_heads, self.num_queries)
        scores_shape = (*scores_shape, inputs.shape[1])
        return output, keras.KerasTensor(scores_shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "num_queries": self.num_queries}
