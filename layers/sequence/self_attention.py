"""Self-attention: a sequence attends to itself."""

import keras

from attention_zoo.layers.core.validation import check_positive_integer, check_rank
from attention_zoo.layers.sequence.attention import Attention, empty_padding


@keras.saving.register_keras_serializable("attention_zoo")
class SelfAttention(Attention):
    """One head of self-attention, with learned queries, keys and values.

    1. Projections: queries and keys `(B, T, key_dim)`, values `(B, T, value_dim)`.
    2. Weights: the normalizer over the scores a query may see, `(B, T, T)`.
    3. Output: the weighted sum of the values, `(B, T, value_dim)`.

    There is no output projection, no residual and no position: see
    `MultiHeadAttention` and `TransformerEncoderBlock`. A masked position gives zeros.

    Args:
        key_dim: Width of queries and keys. Defaults to `None`: the inputs'.
        value_dim: Width of the values. Defaults to `None`: the inputs'.
        use_bias: Whether the projections have biases. Defaults to `True`.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.
        score, normalizer, units, dropout, window, block_size, seed: As in `Attention`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, T, T)`.
        return_attention_scores: Whether the weights are returned too.
        training: Boolean.
        use_causal_mask: Whether position `i` sees positions up to `i` only.

    Returns:
        Output of shape `(B, T, value_dim)`, and with `return_attention_scores=True` the
        weights of shape `(B, T, T)`, dropout included.

    Raises:
        ValueError: for an argument outside its set, and for shapes or masks that do
            not fit.

    Reference: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self,
        key_dim=None,
        value_dim=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        given = {"key_dim": key_dim, "value_dim": value_dim}
        given = {name: value for name, value in given.items() if value is not None}
        check_positive_integer(type(self).__name__, **given)
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        key_dim = self.key_dim or input_shape[-1]
        self._query_dense = self._dense("query", key_dim)
        self._key_dense = self._dense("key", key_dim)
        self._value_dense = self._dense("value", self.value_dim or input_shape[-1])
        for dense in (self._query_dense, self._key_dense, self._value_dense):
            dense.build(input_shape)
        keys = (*input_shape[:-1], key_dim)
        super().build(keys, self.compute_output_shape(input_shape), keys)

    def _dense(self, name, width):
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return keras.layers.Dense(
            width,
            use_bias=self.use_bias,
            kernel_initializer=keras.initializers.get(initializer),
            name=name,
            dtype=self.dtype_policy,
        )

    def call(
        self,
        inputs,
        mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        if mask is None:  # Keras fills it in only where there is no other tensor
            mask = getattr(inputs, "_keras_mask", None)
        inputs = empty_padding(inputs, mask)
        return super().call(
            self._query_dense(inputs),
            self._value_dense(inputs),
            self._key_dense(inputs),
            query_mask=mask,
            value_mask=mask,
            attention_mask=attention_mask,
            return_attention_scores=return_attention_scores,
            training=training,
            use_causal_mask=use_causal_mask,
        )

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.value_dim or input_shape[-1])

    def compute_output_spec(
        self,
        inputs,
        mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        shape = self.compute_output_shape(inputs.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        scores_shape = self._scores_shape(inputs.shape, inputs.shape)
        return output, keras.KerasTensor(scores_shape, dtype=self.compute_dtype)

    def get_config(self):
        config = {
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
        return {**super().get_config(), **config}
