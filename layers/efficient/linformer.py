"""Linformer: keys and values projected along time to a fixed number of positions."""

import keras
from keras import ops

from attention_zoo.layers.core.blockwise import attend
from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import (
    check_attention_shapes,
    check_positive_integer,
)
from attention_zoo.layers.sequence.attention import Attention, build_part


@keras.saving.register_keras_serializable("attention_zoo")
class LinformerAttention(Attention):
    """Attention to `P` learned mixtures of the positions, at a cost of T x P.

    1. Keys and values along time: `K' = E K` and `V' = F V`, shape `(B, P, D)`.
    2. Weights: the normalizer over `s(q, K')`, shape `(B, Tq, P)`.
    3. Output: the weighted sum of `V'`, shape `(B, Tq, Dv)`.

    Weights: `key_projection` and `value_projection` `(max_length, P)`. Shorter
    sequences use their first rows; padding is left out of the mixtures. A mixture
    holds the whole sequence, so that no causal form and no window exists.

    Args:
        max_length: Longest key sequence, a positive integer.
        num_projections: Number of mixtures `P`. Defaults to `64`.
        score, normalizer, units, dropout, seed: As in `Attention`.

    Call arguments: As in `Attention`, without `attention_mask` and `use_causal_mask`.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, P)`.

    Raises:
        ValueError: for a key longer than `max_length`.

    Reference: Wang et al. 2020, https://arxiv.org/abs/2006.04768
    """

    def __init__(self, max_length, num_projections=64, score="scaled_dot", **kwargs):
        check_positive_integer(
            "LinformerAttention", max_length=max_length, num_projections=num_projections
        )
        super().__init__(score=score, window=None, block_size=None, **kwargs)
        self.max_length = max_length
        self.num_projections = num_projections

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        shapes = tuple(query_shape), tuple(value_shape), tuple(key_shape)
        check_attention_shapes(type(self).__name__, *shapes)
        mixed = (shapes[2][0], self.num_projections, shapes[2][2])
        build_part(self._score, shapes[0], mixed)
        build_part(self._normalizer, (*shapes[0][:-1], self.num_projections))
        shape = (self.max_length, self.num_projections)
        self.key_projection = self.add_weight(name="key_projection", shape=shape)
        self.value_projection = self.add_weight(name="value_projection", shape=shape)
        self.built = True

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        query, value, key, mask = self._apply_masks(
            query, value, key, query_mask, value_mask, key_mask, None
        )
        if key.shape[1] is not None and key.shape[1] > self.max_length:
            raise ValueError(
                "`LinformerAttention` expects a key of at most `max_length` positions. "
                f"Received: max_length={self.max_length}, "
                f"key.shape={tuple(key.shape)}"
            )
        anything = None
        if mask.key_mask is not None:  # all mixtures of a row of padding are empty
            anything = ops.any(mask.key_mask, axis=1, keepdims=True)
            anything = ops.repeat(anything, self.num_projections, axis=1)
        output, weights = attend(
            query,
            self._mix(key, self.key_projection),
            self._mix(value, self.value_projection),
            self._score,
            self._normalizer,
            AttentionMask(mask.query_mask, anything),
            dropout=self.dropout,
            seed_generator=self.seed_generator,
            training=bool(training),
        )
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def _mix(self, x, projection):
        """Returns the mixtures `(B, P, D)` of `x` `(B, T, D)`."""
        return ops.matmul(ops.transpose(projection[: ops.shape(x)[1]]), x)

    def compute_output_spec(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        return super().compute_output_spec(
            query, value, key, return_attention_scores=return_attention_scores
        )

    def compute_scores_shape(self, query_shape, value_shape):
        return (*query_shape[:-1], self.num_projections)

    def get_config(self):
        config = super().get_config()
        del config["window"], config["block_size"]
        config["max_length"] = self.max_length
        config["num_projections"] = self.num_projections
        return config
