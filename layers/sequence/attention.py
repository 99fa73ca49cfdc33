"""Attention: the one engine, score x normalizer x masks x blocks."""

import keras
from keras import ops

from attention_zoo.layers.core.blockwise import attend, check_block_size
from attention_zoo.layers.core.masks import AttentionMask, check_window
from attention_zoo.layers.core.normalizers import get_normalizer
from attention_zoo.layers.core.recording import record, recording
from attention_zoo.layers.core.scores import get_score
from attention_zoo.layers.core.validation import (
    check_attention_shapes,
    check_mask,
    check_rate,
)


@keras.saving.register_keras_serializable("attention_zoo")
class Attention(keras.layers.Layer):
    """Attention with any score, any normalizer, any mask, in linear memory if asked.

    1. Scores `s(q_i, k_j)`, shape `(B, Tq, Tv)`.
    2. Weights: the normalizer over the keys that a query may see, shape `(B, Tq, Tv)`.
    3. Output: the weighted sum of the values, shape `(B, Tq, Dv)`.

    A position whose mask is False gets a weight of exactly 0, whatever it holds; a
    query that is masked or has nothing to see gets zero weights and a zero output.

    Args:
        score: Name of the score, or a `Score` layer: `"dot"`, `"scaled_dot"`,
            `"cosine"`, `"general"`, `"concat"`, `"additive"`, `"location"`.
            Defaults to `"scaled_dot"`.
        normalizer: Name of the normalizer, or a `Normalizer` layer: `"softmax"`,
            `"sigmoid"`, `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`,
            `"gumbel_softmax"`, `"top_k"`. Defaults to `"softmax"`.
        units: Hidden width of `"concat"` and `"additive"`. Defaults to `None`: as wide
            as the key.
        dropout: Share of the weights that is dropped in training. Defaults to `0.0`.
        window: Integer or pair `(left, right)`: query `i` sees keys `i - left` to
            `i + right`. Defaults to `None`: all.
        block_size: Number of queries evaluated at a time, recomputed in the backward
            pass, so that memory grows linearly; or `"auto"`. Defaults to `None`: all
            at once. The result is the same.
        seed: Python integer for dropout. Defaults to `None`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Whether the weights are returned too.
        training: Boolean.
        use_causal_mask: Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, dropout included.

    Raises:
        ValueError: for an argument outside its set, and for shapes or masks that do
            not fit.

    References:
        - Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
        - Luong et al. 2015, https://arxiv.org/abs/1508.04025
        - Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
    """

    def __init__(
        self,
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
        owner = type(self).__name__
        check_rate(owner, dropout=dropout)
        check_block_size(owner, block_size)
        self._window = check_window(owner, window)
        self._score = get_score(score, units, owner, self.dtype_policy)
        self._normalizer = get_normalizer(normalizer, owner, self.dtype_policy, seed)
        self.score = self._score if isinstance(score, dict) else score
        self.normalizer = (
            self._normalizer if isinstance(normalizer, dict) else normalizer
        )
        self.units = units
        self.dropout = dropout
        self.window = window
        self.block_size = block_size
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None
        self.supports_masking = True

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        query_shape, key_shape = tuple(query_shape), tuple(key_shape)
        check_attention_shapes(
            type(self).__name__, query_shape, tuple(value_shape), key_shape
        )
        build_part(self._score, query_shape, key_shape)
        build_part(self._normalizer, (*query_shape[:-1], key_shape[-2]))
        self.built = True

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
        query, value, key, mask = self._apply_masks(
            query, value, key, query_mask, value_mask, key_mask, attention_mask
        )
        mask.causal = use_causal_mask
        output, weights = attend(
            query,
            key,
            value,
            self._score,
            self._normalizer,
            mask,
            dropout=self.dropout,
            seed_generator=self.seed_generator,
            training=bool(training),
            block_size=self.block_size,
            need_weights=return_attention_scores or recording(),
        )
        if weights is not None:
            record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _apply_masks(
        self, query, value, key, query_mask, value_mask, key_mask, attention_mask
    ):
        """Checks shapes and masks, and empties what padding holds.

        Returns:
            `query`, `value`, `key` with zeros at masked positions, so that not even a
            NaN in padding reaches an output or a gradient, and the `AttentionMask`.
        """
        query, value, key, *masks = empty_masked(
            type(self).__name__,
            query,
            value,
            key,
            query_mask,
            value_mask,
            key_mask,
            attention_mask,
        )
        mask = AttentionMask(*masks, False, self._window)
        return query, value, key, mask

    def compute_mask(self, inputs, previous_mask=None):
        if isinstance(previous_mask, (list, tuple)):
            return previous_mask[0]
        return previous_mask

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        return (*query_shape[:-1], value_shape[-1])

    def compute_output_spec(
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
        key = value if key is None else key
        check_attention_shapes(type(self).__name__, query.shape, value.shape, key.shape)
        shape = self.compute_output_shape(query.shape, value.shape, key.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        scores_shape = self._scores_shape(query.shape, value.shape)
        return output, keras.KerasTensor(scores_shape, dtype=self.compute_dtype)

    def _scores_shape(self, query_shape, value_shape):
        return (*query_shape[:-1], value_shape[-2])

    def get_config(self):
        config = {
            "score": serialize_part(self.score),
            "normalizer": serialize_part(self.normalizer),
            "units": self.units,
            "dropout": self.dropout,
            "window": self.window,
            "block_size": self.block_size,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


def empty_masked(
    owner, query, value, key, query_mask, value_mask, key_mask, attention_mask=None
):
    """Checks the inputs of an attention, and empties what padding holds.

    Returns:
        `query`, `value` and `key` with zeros at padding, the boolean `query_mask`, the
        mask of the keys out of both of theirs, and `attention_mask`; masks or None.
    """
    same = key is None or key is value
    key = value if key is None else key
    check_attention_shapes(owner, query.shape, value.shape, key.shape)
    batch, rows, length = query.shape[0], query.shape[1], value.shape[1]
    query_mask = check_mask(owner, "query_mask", query_mask, (batch, rows))
    value_mask = check_mask(owner, "value_mask", value_mask, (batch, length))
    key_mask = check_mask(owner, "key_mask", key_mask, (batch, length))
    attention_mask = check_mask(
        owner, "attention_mask", attention_mask, (batch, rows, length)
    )
    if key_mask is None:
        key_mask = value_mask
    elif value_mask is not None:
        key_mask = ops.logical_and(key_mask, value_mask)
    query = empty_padding(query, query_mask)
    value = empty_padding(value, key_mask)
    key = value if same else empty_padding(key, key_mask)
    return query, value, key, query_mask, key_mask, attention_mask


def empty_padding(x, mask):
    """Returns `x` `(B, T, D)` with zeros where `mask` `(B, T)` is False."""
    if mask is None:
        return x
    return ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x))


def build_part(part, *shapes):
    """Builds a score or normalizer, unless it came built: given, shared or reloaded."""
    if not part.built:
        part.build(*shapes)


def serialize_part(part):
    """Returns a name as it is, and a score or normalizer layer as its config."""
    if isinstance(part, keras.layers.Layer):
        return keras.saving.serialize_keras_object(part)
    return part
