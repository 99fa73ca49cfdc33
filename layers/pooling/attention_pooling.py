"""Attention pooling: a sequence becomes one vector."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import get_normalizer
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.scores import AdditiveScore, get_score
from attention_zoo.layers.core.validation import check_mask, check_rank, check_rate
from attention_zoo.layers.sequence.attention import (
    build_part,
    empty_padding,
    serialize_part,
)


@keras.saving.register_keras_serializable("attention_zoo")
class AttentionPooling(keras.layers.Layer):
    """Weighted mean of a sequence, the weights scored against a learned query.

    1. Scores `s(q, h_t)` with the learned `query` `(D,)`, shape `(B, T)`.
    2. Weights: the normalizer over unpadded positions, shape `(B, T)`.
    3. Output: the weighted sum of the inputs, shape `(B, D)`.

    With `score="additive"` this is `v' tanh(W h_t + b)`, the word attention of Yang et
    al.: the bias does the learned query's work, and no `query` weight exists. With
    `score=None` all unpadded positions weigh the same: a mean that honours padding, the
    twin without attention. A row of padding gives zeros.

    Args:
        score: Name of the score, a `Score` layer, or None. Defaults to `"additive"`.
        normalizer: As in `Attention`. Defaults to `"softmax"`.
        units: Hidden width of `"concat"` and `"additive"`. Defaults to `None`: as wide
            as the inputs.
        dropout: Share of the weights that is dropped in training. Defaults to `0.0`.
        seed: Python integer for dropout. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Whether the weights are returned too.
        training: Boolean.

    Returns:
        Output of shape `(B, D)`, and with `return_attention_scores=True` the weights of
        shape `(B, T)`.

    Raises:
        ValueError: for an argument outside its set, and for inputs of another rank.

    Reference: Yang et al. 2016, https://aclanthology.org/N16-1174
    """

    family = "pooling"
    weights_are = "positions"

    def __init__(
        self,
        score="additive",
        normalizer="softmax",
        units=None,
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_rate(owner, dropout=dropout)
        self._score = None
        if score is not None:
            self._score = (
                AdditiveScore(
                    units, use_query=False, name=score, dtype=self.dtype_policy
                )
                if score == "additive"
                else get_score(score, units, owner, self.dtype_policy)
            )
        self._normalizer = get_normalizer(normalizer, owner, self.dtype_policy, seed)
        self.score = self._score if isinstance(score, dict) else score
        self.normalizer = (
            self._normalizer if isinstance(normalizer, dict) else normalizer
        )
        self.units = units
        self.dropout = dropout
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None
        self.supports_masking = True

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        width = input_shape[-1]
        self._query = None
        if self._score is not None:
            if getattr(self._score, "use_query", True):
                self._query = self.add_weight(
                    name="query", shape=(width,), initializer="glorot_uniform"
                )
            build_part(self._score, (input_shape[0], 1, width), input_shape)
        build_part(self._normalizer, (input_shape[0], 1, input_shape[1]))
        self.built = True

    def _calculate_scores(self, inputs):
        """Returns the scores `(B, 1, T)` of inputs `(B, T, D)`."""
        batch, length = ops.shape(inputs)[:2]
        if self._score is None:
            return ops.zeros((batch, 1, length), dtype=inputs.dtype)
        query = ops.zeros((batch, 1, inputs.shape[-1]), dtype=inputs.dtype)
        if self._query is not None:
            query = query + ops.cast(self._query, inputs.dtype)
        return self._score(query, inputs)

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        owner = type(self).__name__
        check_rank(owner, 3, inputs=inputs.shape)
        mask = check_mask(owner, "mask", mask, tuple(inputs.shape[:2]))
        inputs = empty_padding(inputs, mask)
        visible = None if mask is None else ops.expand_dims(mask, 1)
        scores = self._calculate_scores(inputs)
        weights = self._normalizer(scores, mask=visible, training=training)
        if training and self.dropout:
            weights = keras.random.dropout(
                weights, self.dropout, seed=self.seed_generator
            )
        output = ops.squeeze(ops.matmul(weights, inputs), 1)
        weights = ops.squeeze(weights, 1)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def compute_output_spec(
        self, inputs, mask=None, return_attention_scores=False, training=None
    ):
        check_rank(type(self).__name__, 3, inputs=inputs.shape)
        shape = self.compute_output_shape(inputs.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        return output, keras.KerasTensor(inputs.shape[:2], dtype=self.compute_dtype)

    def get_config(self):
        config = {
            "score": serialize_part(self.score),
            "normalizer": serialize_part(self.normalizer),
            "units": self.units,
            "dropout": self.dropout,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
