"""Local attention: a band around each query, at a cost of T x window."""

import keras
from keras import ops

from attention_zoo.layers.core.blockwise import cut
from attention_zoo.layers.core.masks import check_window
from attention_zoo.layers.core.recording import recording
from attention_zoo.layers.core.scores import LocationScore
from attention_zoo.layers.sequence.attention import Attention


@keras.saving.register_keras_serializable("attention_zoo")
class LocalAttention(Attention):
    """Sliding-window attention in chunks: what lies outside the band is not computed.

    The values are those of `Attention(window=...)`, which evaluates all `Tq x Tv`
    scores and hides most of them; here a chunk of queries meets only the keys that one
    of them may see, so that time and memory grow as `T x window`. Asking for the
    weights evaluates all of them, at the full cost.

    Args:
        window: Integer or pair `(left, right)`: query `i` sees keys `i - left` to
            `i + right`. Defaults to `16`.
        score, normalizer, units, dropout, seed: As in `Attention`; `"location"` looks
            at absolute positions and is no score of a band.

    Call arguments and Returns: As in `Attention`; `attention_mask`, which has
    `Tq x Tv` entries, is not taken.

    Raises:
        ValueError: for a window that is no band, the location score, and an
            `attention_mask`.

    Reference: Beltagy et al. 2020, https://arxiv.org/abs/2004.05150
    """

    def __init__(self, window=16, score="scaled_dot", **kwargs):
        check_window("LocalAttention", window)
        if window is None or score == "location" or isinstance(score, LocationScore):
            raise ValueError(
                "`LocalAttention` expects a `window` and a score of contents. "
                f"Received: window={window!r}, score={score!r}"
            )
        super().__init__(score=score, window=window, block_size=None, **kwargs)

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        if attention_mask is not None:
            raise ValueError(
                "`LocalAttention` takes no `attention_mask`, whose Tq x Tv entries it "
                "is there to avoid. Use `Attention(window=...)`. Received: "
                f"attention_mask of shape {tuple(attention_mask.shape)}"
            )
        if return_attention_scores or recording():
            return super().call(
                query,
                value,
                key,
                query_mask,
                value_mask,
                key_mask,
                return_attention_scores=return_attention_scores,
                training=training,
                use_causal_mask=use_causal_mask,
            )
        query, value, key, mask = self._apply_masks(
            query, value, key, query_mask, value_mask, key_mask, None
        )
        return self._attend_in_chunks(
            query, value, key, mask, use_causal_mask, bool(training)
        )

    def _attend_in_chunks(self, query, value, key, mask, causal, training):
        """Returns the output `(B, Tq, Dv)` of tensors that hold zeros at padding."""
        left, right = self._window
        right = 0 if causal else right
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
            rows = ops.moveaxis(cut(mask.query_mask, -1, size, count), 0, 1)
            seen = ops.logical_and(seen, ops.expand_dims(rows, -1))
        query = self._score.project_query(query)
        query = ops.moveaxis(cut(query, -2, size, count), 0, 1)  # (B, count, size, D)
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
        config = super().get_config()
        del config["block_size"]
        return config
