"""Linformer: keys and values projected along time to a fixed number of positions."""

import keras
from keras import ops

from attention_zoo.layers.core.masks import AttentionMask
from attention_zoo.layers.core.parts import build_part, serialize_part
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.validation import (
    check_attention_shapes,
    check_positive_integer,
)
from attention_zoo.layers.sequence.scored import ScoredParts


@keras.saving.register_keras_serializable("attention_zoo")
class LinformerAttention(ScoredParts, QueryValueAttention):
    """Attention to `P` learned mixtures of the positions, at a cost of T x P.

    1. Keys and values along time: `K' = E K` and `V' = F V`, shape `(B, P, D)`.
    2. Weights: the normalizer over `s(q, K')`, shape `(B, Tq, P)`.
    3. Output: the weighted sum of `V'`, shape `(B, Tq, Dv)`.

    Weights: `key_projection` and `value_projection` `(max_length, P)`. Shorter
    sequences use their first rows; padding is left out of the mixtures. A mixture
    holds the whole sequence, so that no causal form and no window exists.

    Args:
        max_length: Integer. Length of the longest key sequence.
        num_projections: Integer. Number of mixtures `P`. Defaults to `64`.
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
        use_causal_mask: False. There is no causal form.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, P)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, if shapes or masks are incompatible, or
            if the key is longer than `max_length`.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 5), "float32")
    layer = layers.LinformerAttention(max_length=13, num_projections=2)
    output, weights = layer(query, value, return_attention_scores=True)
    assert output.shape == (2, 3, 5) and weights.shape == (2, 3, 2)
    ```

    References:
        - Wang et al. 2020, https://arxiv.org/abs/2006.04768
    """

    family = "linear"
    call_options = ("return_attention_scores",)

    def __init__(
        self,
        max_length,
        num_projections=64,
        score="scaled_dot",
        normalizer="softmax",
        units=None,
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_integer(
            type(self).__name__, max_length=max_length, num_projections=num_projections
        )
        self._set_parts(score, normalizer, units, dropout, seed=seed)
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

    def _attend(self, query, value, key, mask, training, need_weights):
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
        return super()._attend(
            query,
            self._mix(value, self.value_projection),
            self._mix(key, self.key_projection),
            AttentionMask(mask.query_mask, anything),
            training,
            need_weights,
        )

    def _mix(self, x, projection):
        """Returns the mixtures `(B, P, D)` of `x` `(B, T, D)`."""
        return ops.matmul(ops.transpose(projection[: ops.shape(x)[1]]), x)

    def compute_scores_shape(self, query_shape, value_shape):
        return (*query_shape[:-1], self.num_projections)

    def get_config(self):
        config = {
            "max_length": self.max_length,
            "num_projections": self.num_projections,
            "score": serialize_part(self.score),
            "normalizer": serialize_part(self.normalizer),
            "units": self.units,
            "dropout": self.dropout,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
