"""Local attention: a band around each query, at a cost of T x window."""

import keras
from keras import ops

from attention_zoo.layers.core.loops import split_blocks
from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.scores import LocationScore
from attention_zoo.layers.sequence.scored import ScoredParts


@keras.saving.register_keras_serializable("attention_zoo")
class LocalAttention(ScoredParts, QueryValueAttention):
    """Sliding-window attention in chunks: what lies outside the band is not computed.

    The values are those of `Attention(window=...)`, which evaluates all `Tq x Tv`
    scores and hides most of them; here a chunk of queries meets only the keys that one
    of them may see, so that time and memory grow as `T x window`. Asking for the
    weights evaluates all of them, at the full cost.

    Args:
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `16`.
        score: String or `Score` layer. `"dot"`, `"scaled_dot"`, `"cosine"`,
            `"general"`, `"concat"` or `"additive"`; `"location"` depends on absolute
            positions and is no score of a band. Defaults to `"scaled_dot"`.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        units: Integer. Width of the hidden layer of the scores `"concat"` and
            `"additive"`. Defaults to `None`: as wide as the key.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
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
        attention_mask: None. No other is taken.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.normal(size=(2, 13, 5)).astype("float32")
    output = layers.LocalAttention(window=(3, 0))(x, x)
    full = layers.Attention(window=(3, 0))(x, x)
    np.testing.assert_allclose(output, full, atol=1e-5)
    ```

    References:
        - Beltagy et al. 2020, https://arxiv.org/abs/2004.05150
    """

    family = "linear"
    call_options = ("use_causal_mask", "return_attention_scores")

    def __init__(
        self,
        window=16,
        score="scaled_dot",
        normalizer="softmax",
        units=None,
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if window is None or score == "location" or isinstance(score, LocationScore):
            raise ValueError(
                "`LocalAttention` expects a `window` and a score of contents. "
                f"Received: window={window!r}, score={score!r}"
            )
        self._set_parts(score, normalizer, units, dropout, window, seed=seed)

    def _attend(self, query, value, key, mask, training, need_weights):
        if need_weights:
            return super()._attend(query, value, key, mask, training, need_weights)
        return self._attend_in_chunks(query, value, key, mask, training), None

    def _attend_in_chunks(self, query, value, key, mask, training):
        """Returns the output `(B, Tq, Dv)` of tensors that hold zeros at padding."""
        left, right = self._window
        right = 0 if mask.causal else right
        total, length = ops.shape(query)[1], ops.shape(key)[1]
        size = max(16, left + right + 1)  # queries of a chunk: as many as keys beside
        count = (total + size - 1) // size
        span = size + left + right
        # Key positions of each chunk, (count, span); those outside are hidden below.
        first = ops.expand_dims(ops.arange(count, dtype="int32") * size - left, -1)
        places = first + ops.arange(span, dtype="int32")
        inside = ops.logical_and(places >= 0, places < length)
        places = ops.maximum(ops.minimum(places, length - 1), 0)
        # Row r of a chunk is position r + left of its span.
        r = ops.expand_dims(ops.arange(size, dtype="int32"), -1)
        j = ops.expand_dims(ops.arange(span, dtype="int32"), 0)
        band = ops.logical_and(j >= r, j <= r + left + right)  # (size, span)
        seen = ops.logical_and(band, ops.expand_dims(inside, 1))  # (count, size, span)
        seen = ops.expand_dims(seen, 0)
        if mask.key_mask is not None:
            present = ops.take(mask.key_mask, places, axis=1)  # (B, count, span)
            seen = ops.logical_and(seen, ops.expand_dims(present, 2))
        if mask.query_mask is not None:
            rows = ops.moveaxis(split_blocks(mask.query_mask, -1, size, count), 0, 1)
            seen = ops.logical_and(seen, ops.expand_dims(rows, -1))
        query = self._score.project_query(query)
        query = ops.moveaxis(
            split_blocks(query, -2, size, count), 0, 1
        )  # (B, count, size, D)
        key = ops.take(self._score.project_key(key), places, axis=1)
        value = ops.take(value, places, axis=1)  # (B, count, span, Dv)
        scores = self._score.compare(
            query, key, *map(ops.convert_to_tensor, self._score.compare_weights())
        )
        weights = self._normalizer(scores, mask=seen, training=training)
        if training and self.dropout:
            weights = keras.random.dropout(
                weights, self.dropout, seed=self.seed_generator
            )
        output = ops.matmul(weights, value)  # (B, count, size, Dv)
        shape = ops.shape(output)
        output = ops.reshape(output, (shape[0], count * size, shape[-1]))
        return output[:, :total]

    def get_config(self):
        config = {
            "window": self.window,
            "score": serialize_part(self.score),
            "normalizer": serialize_part(self.normalizer),
            "units": self.units,
            "dropout": self.dropout,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
