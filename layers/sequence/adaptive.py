"""Adaptive attention: a query may attend to a sentinel of its own instead."""

import keras
from keras import ops

from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.sequence.scored import ScoredParts


def sentinel(query, gate_kernel, gate_bias, kernel):
    """Returns `sigmoid(Wg q + b) * tanh(Ws q)`, `(B, Tq, Dq)` to `(B, Tq, Dv)`."""
    gate = ops.sigmoid(ops.matmul(query, gate_kernel) + gate_bias)
    return gate * ops.tanh(ops.matmul(query, kernel))


@keras.saving.register_keras_serializable("attention_zoo")
class AdaptiveAttention(ScoredParts, QueryValueAttention):
    """Additive attention with a sentinel: how much to look, and where.

    1. Sentinel `s_i = sigmoid(Wg q_i + b) * tanh(Ws q_i)`, shape `(B, Tq, Dv)`.
    2. Scores of the values and, in a last column, of the sentinel:
       `v' tanh(W1 q + W2 k + b)` and `v' tanh(W1 q + W3 s + b)`, `(B, Tq, Tv + 1)`.
    3. Weights: the normalizer over both; the last column is the paper's beta.
    4. Output: the weighted sum of values and sentinel, shape `(B, Tq, Dv)`.

    The paper makes the sentinel from an LSTM's memory cell; here a query of any origin
    makes it. A query without any visible value gets its sentinel; a masked one zeros.

    Args:
        units: Integer. Width of the hidden layer. Defaults to `None`: as wide as the
            key.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `None`: all keys.
        seed: Integer. Seed of dropout and of a random normalizer. Defaults to `None`.
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

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv + 1)`, the sentinel's last, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 11), "float32")
    layer = layers.AdaptiveAttention(units=13)
    output, weights = layer(query, value, return_attention_scores=True)
    assert output.shape == (2, 3, 11) and weights.shape == (2, 3, 8)
    ```

    References:
        - Lu et al. 2017, https://arxiv.org/abs/1612.01887
    """

    def __init__(
        self,
        units=None,
        normalizer="softmax",
        dropout=0.0,
        window=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._set_parts("additive", normalizer, units, dropout, window, seed=seed)

    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        width, value_width = query_shape[-1], value_shape[-1]
        hidden = self._score.scale.shape[0]
        self.gate_kernel = self.add_weight(
            name="gate_kernel", shape=(width, value_width)
        )
        self.gate_bias = self.add_weight(
            name="gate_bias", shape=(value_width,), initializer="zeros"
        )
        self.sentinel_kernel = self.add_weight(
            name="sentinel_kernel", shape=(width, value_width)
        )
        self.sentinel_score_kernel = self.add_weight(
            name="sentinel_score_kernel", shape=(value_width, hidden)
        )

    def _attend(self, query, value, key, mask, training, need_weights):
        own = sentinel(query, self.gate_kernel, self.gate_bias, self.sentinel_kernel)
        scores = self._calculate_scores(query, key, own)
        seen = self._seen(mask, ops.shape(scores))
        weights = self._normalizer(scores, mask=seen, training=training)
        if training and self.dropout:
            weights = keras.random.dropout(
                weights, self.dropout, seed=self.seed_generator
            )
        output = ops.matmul(weights[..., :-1], value) + weights[..., -1:] * own
        return output, weights

    def _calculate_scores(self, query, key, own):
        """Returns the scores `(B, Tq, Tv + 1)`, the sentinel's last."""
        projected = self._score.project_query(query)  # (B, Tq, units)
        scale = ops.convert_to_tensor(self._score.scale)
        scores = self._score.compare(projected, self._score.project_key(key), scale)
        hidden = ops.tanh(projected + ops.matmul(own, self.sentinel_score_kernel))
        last = ops.matmul(hidden, ops.expand_dims(scale, -1))  # (B, Tq, 1)
        return ops.concatenate([scores, last], axis=-1)

    def _seen(self, mask, shape):
        """Returns the mask `(B, Tq, Tv + 1)`: a query always sees its own sentinel."""
        batch, rows, columns = shape
        own = ops.ones((batch, rows, 1), dtype="bool")
        if mask.query_mask is not None:
            own = ops.expand_dims(mask.query_mask, -1)
        seen = mask.rows(rows, columns - 1)
        if seen is None:
            return None
        seen = ops.broadcast_to(seen, (batch, rows, columns - 1))
        return ops.concatenate([seen, own], axis=-1)

    def compute_scores_shape(self, query_shape, value_shape):
        length = value_shape[1]
        return (*query_shape[:-1], None if length is None else length + 1)

    def get_config(self):
        config = {
            "units": self.units,
            "normalizer": serialize_part(self.normalizer),
            "dropout": self.dropout,
            "window": self.window,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
