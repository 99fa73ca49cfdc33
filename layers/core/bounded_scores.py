"""Dot-product scores that do not grow with the lengths of queries and keys."""

import math

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.parts import build_part, serialize_part
from attention_zoo.layers.core.scores import Score, get_score
from attention_zoo.layers.core.validation import check_positive_number


def rms_norm(x, scale, epsilon):
    """Returns `x / sqrt(mean(x^2) + epsilon) * scale` over the last axis."""
    wide = widen(x)
    square = ops.mean(ops.square(wide), axis=-1, keepdims=True)
    wide = wide / ops.sqrt(square + epsilon) * ops.cast(scale, wide.dtype)
    return ops.cast(wide, x.dtype)


@keras.saving.register_keras_serializable("attention_zoo")
class NormalizedDotScore(Score):
    """`norm(q) . norm(k) / sqrt(D)`: QK-norm, which keeps training stable.

    `norm(x) = x / sqrt(mean(x^2) + epsilon) * scale`, with a weight `query_scale` and
    a weight `key_scale` `(D,)`, shared by the heads. For vectors of length 1 and one
    learned factor, as the paper has it, take `CosineScore`.

    Args:
        epsilon: Positive float. Added to the mean square. Defaults to `1e-6`.

    Example:

    ```python
    score = layers.NormalizedDotScore()
    layer = layers.MultiHeadAttention(2, 4, score=score)
    assert layer(np.ones((1, 3, 5)), np.ones((1, 7, 5))).shape == (1, 3, 5)
    ```

    References:
        - Henry et al. 2020, https://arxiv.org/abs/2010.04245
        - RMS: Dehghani et al. 2023, https://arxiv.org/abs/2302.05442, with layer
          normalization
    """

    same_width = True

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        check_positive_number(type(self).__name__, epsilon=epsilon)
        self.epsilon = epsilon

    def build(self, query_shape, key_shape=None):
        shape = (query_shape[-1],)
        self.query_scale = self.add_weight(
            name="query_scale", shape=shape, initializer="ones"
        )
        self.key_scale = self.add_weight(
            name="key_scale", shape=shape, initializer="ones"
        )
        super().build(query_shape, key_shape)

    def project_query(self, query):
        query = rms_norm(query, self.query_scale, self.epsilon)
        return query / math.sqrt(query.shape[-1])

    def project_key(self, key):
        return rms_norm(key, self.key_scale, self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable("attention_zoo")
class SoftCapScore(Score):
    """`cap tanh(s / cap)` of the scores `s` of another one: none leaves (-cap, cap).

    Args:
        score: String or `Score` layer. `"dot"`, `"scaled_dot"`, `"cosine"`,
            `"general"`, `"concat"`, `"additive"` or `"location"`.
            Defaults to `"scaled_dot"`.
        cap: Positive float. Defaults to `50.0`.

    Example:

    ```python
    layer = layers.Attention(score=layers.SoftCapScore(cap=5.0))
    query = np.full((1, 1, 2), 9.0)
    value = np.array([[[9.0, 9.0], [-9.0, -9.0]]])
    _, weights = layer(query, value, return_attention_scores=True)
    assert weights[0, 0, 1] > 1e-5  # exp(-10), not exp(-229)
    ```

    References:
        - Gemma Team 2024, https://arxiv.org/abs/2408.00118
    """

    def __init__(self, score="scaled_dot", cap=50.0, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_number(owner, cap=cap)
        self._inner = get_score(score, None, owner, self.dtype_policy)
        self.score = self._inner if isinstance(score, dict) else score
        self.cap = cap
        self.same_width = self._inner.same_width

    def build(self, query_shape, key_shape=None):
        key_shape = query_shape if key_shape is None else key_shape
        build_part(self._inner, query_shape, key_shape)
        self.pairwise_width = self._inner.pairwise_width
        super().build(query_shape, key_shape)

    def project_query(self, query):
        return self._inner.project_query(query)

    def project_key(self, key):
        return self._inner.project_key(key)

    def compare_weights(self):
        return self._inner.compare_weights()

    def compare(self, query, key, *weights):
        scores = self._inner.compare(query, key, *weights)
        return self.cap * ops.tanh(scores / self.cap)

    def get_config(self):
        config = {"score": serialize_part(self.score), "cap": self.cap}
        return {**super().get_config(), **config}
