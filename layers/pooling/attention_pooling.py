"""Attention pooling: a sequence becomes one vector."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import get_normalizer
from attention_zoo.layers.core.parts import build_part, serialize_part
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.scores import AdditiveScore, get_score
from attention_zoo.layers.core.validation import check_rank, check_rate
from attention_zoo.layers.pooling.base import PoolingLayer


class WeightedPooling(PoolingLayer):
    """Base of the poolings by a weighted mean.

    It has no constructor arguments: a subclass hands its own to `_set_normalizer`, and
    overrides `_calculate_scores`.
    """

    def _set_normalizer(self, normalizer, dropout, seed):
        """Checks and keeps the arguments of what happens to the scores."""
        owner = type(self).__name__
        check_rate(owner, dropout=dropout)
        self._normalizer = get_normalizer(normalizer, owner, self.dtype_policy, seed)
        self.normalizer = (
            self._normalizer if isinstance(normalizer, dict) else normalizer
        )
        self.dropout = dropout
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None

    def build(self, input_shape):
        build_part(self._normalizer, (input_shape[0], 1, input_shape[1]))
        self.built = True

    def _calculate_scores(self, inputs):
        """Returns the scores `(B, 1, T)` of inputs `(B, T, D)`."""
        raise NotImplementedError(
            f"`{type(self).__name__}` must override `_calculate_scores`."
        )

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        inputs, mask = self._mask_inputs(inputs, mask)
        visible = None if mask is None else ops.expand_dims(mask, 1)
        scores = self._calculate_scores(inputs)
        weights = self._normalizer(scores, mask=visible, training=training)
        if training and self.dropout:
            weights = keras.random.dropout(
                weights, self.dropout, seed=self.seed_generator
            )
        weights = ops.squeeze(weights, 1)
        record(self, weights)
        output = ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), inputs), 1)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        config = {
            "normalizer": serialize_part(self.normalizer),
            "dropout": self.dropout,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("attention_zoo")
class AttentionPooling(WeightedPooling):
    """Weighted mean of a sequence, the weights scored against a learned query.

    1. Scores `s(q, h_t)` with the learned `query` `(D,)`, shape `(B, T)`.
    2. Weights: the normalizer over unpadded positions, shape `(B, T)`.
    3. Output: the weighted sum of the inputs, shape `(B, D)`.

    With `score="additive"` this is `v' tanh(W h_t + b)`, the word attention of Yang et
    al.: the bias does the learned query's work, and no `query` weight exists. With
    `score=None` all unpadded positions weigh the same: a mean that honours padding, the
    ablation without attention. A row of padding gives zeros.

    Args:
        score: String, `Score` layer, or None. `"dot"`, `"scaled_dot"`, `"cosine"`,
            `"general"`, `"concat"`, `"additive"` or `"location"`.
            Defaults to `"additive"`.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        units: Integer. Hidden width of the scores `"concat"` and `"additive"`.
            Defaults to `None`, which stands for the width of the inputs.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        seed: Integer. Seed of the dropout. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.

    Returns:
        Output of shape `(B, D)`, and with `return_attention_scores=True` the weights of
        shape `(B, T)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    pooling = layers.AttentionPooling(units=8)
    x = np.random.rand(2, 5, 4)
    output, weights = pooling(x, return_attention_scores=True)
    assert output.shape == (2, 4)
    np.testing.assert_allclose(ops.sum(weights, axis=1), [1, 1], atol=1e-5)
    ```

    References:
        - Yang et al. 2016, https://aclanthology.org/N16-1174
    """

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
        owner, policy = type(self).__name__, self.dtype_policy
        if score is None:
            self._score = None
        elif score == "additive":
            self._score = AdditiveScore(
                units, use_query=False, name=score, dtype=policy
            )
        else:
            self._score = get_score(score, units, owner, policy)
        self.score = self._score if isinstance(score, dict) else score
        self.units = units
        self._set_normalizer(normalizer, dropout, seed)

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
        super().build(input_shape)

    def _calculate_scores(self, inputs):
        batch, length = ops.shape(inputs)[:2]
        if self._score is None:
            return ops.zeros((batch, 1, length), dtype=inputs.dtype)
        query = ops.zeros((batch, 1, inputs.shape[-1]), dtype=inputs.dtype)
        if self._query is not None:
            query = query + ops.cast(self._query, inputs.dtype)
        return self._score(query, inputs)

    def get_config(self):
        config = {"score": serialize_part(self.score), "units": self.units}
        return {**super().get_config(), **config}
