"""Self-attention: a sequence attends to itself."""

import keras

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.parts import build_part, serialize_part
from attention_zoo.layers.core.recording import record, recording
from attention_zoo.layers.core.validation import (
    check_mask,
    check_optional_integers,
    check_rank,
)
from attention_zoo.layers.sequence.scored import ScoredParts


@keras.saving.register_keras_serializable("attention_zoo")
class SelfAttention(ScoredParts, SelfAttentionLayer):
    """One head of self-attention, with learned queries, keys and values.

    1. Projections: queries and keys `(B, T, key_dim)`, values `(B, T, value_dim)`.
    2. Weights: the normalizer over the scores a query may see, `(B, T, T)`.
    3. Output: the weighted sum of the values, `(B, T, value_dim)`.

    There is no output projection, no residual and no position: see
    `MultiHeadAttention` and `TransformerEncoderBlock`. A masked position gives zeros.

    Args:
        key_dim: Integer. Width of queries and keys. Defaults to `None`: the inputs'.
        value_dim: Integer. Width of the values. Defaults to `None`: the inputs'.
        use_bias: Boolean. Whether the projections have biases. Defaults to `True`.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.
        score: String or `Score` layer. `"dot"`, `"scaled_dot"`, `"cosine"`,
            `"general"`, `"concat"`, `"additive"` or `"location"`.
            Defaults to `"scaled_dot"`.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        units: Integer. Width of the hidden layer of the scores `"concat"` and
            `"additive"`. Defaults to `None`: as wide as the key.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        window: Integer or pair of integers `(left, right)`. Position `i` sees
            positions `i - left` to `i + right`. Defaults to `None`: all positions.
        block_size: Integer or `"auto"`. Number of queries evaluated at a time and
            recomputed in the backward pass, so that memory grows linearly with the
            length. The result is the same. Defaults to `None`: all at once.
        seed: Integer. Seed of dropout and of a random normalizer. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, T, T)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether position `i` sees positions up to `i` only.

    Returns:
        Output of shape `(B, T, value_dim)`, and with `return_attention_scores=True` the
        weights of shape `(B, T, T)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    inputs = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.SelfAttention(value_dim=3)
    output, weights = layer(inputs, return_attention_scores=True)
    assert output.shape == (2, 7, 3) and weights.shape == (2, 7, 7)
    ```

    References:
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
    """

    call_options = ("attention_mask", "use_causal_mask", "return_attention_scores")

    def __init__(
        self,
        key_dim=None,
        value_dim=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        score="scaled_dot",
        normalizer="softmax",
        units=None,
        dropout=0.0,
        window=None,
        block_size=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_optional_integers(
            type(self).__name__, key_dim=key_dim, value_dim=value_dim
        )
        self._set_parts(score, normalizer, units, dropout, window, block_size, seed)
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
        build_part(self._score, keys, keys)
        build_part(self._normalizer, self.compute_scores_shape(input_shape))
        self.built = True

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
        if mask is None:  # Keras fills it in only where there is no other tensor
            mask = getattr(inputs, "_keras_mask", None)
        inputs, mask = self._mask_inputs(inputs, mask)
        batch, length = inputs.shape[:2]
        attention_mask = check_mask(
            type(self).__name__,
            "attention_mask",
            attention_mask,
            (batch, length, length),
        )
        output, weights = self._attend(
            self._query_dense(inputs),
            self._value_dense(inputs),
            self._key_dense(inputs),
            AttentionMask(mask, mask, attention_mask, use_causal_mask, self._window),
            bool(training),
            return_attention_scores or recording(),
        )
        if weights is not None:
            record(self, weights)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.value_dim or input_shape[-1])

    def get_config(self):
        config = {
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "score": serialize_part(self.score),
            "normalizer": serialize_part(self.normalizer),
            "units": self.units,
            "dropout": self.dropout,
            "window": self.window,
            "block_size": self.block_size,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
