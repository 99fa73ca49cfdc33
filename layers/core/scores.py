"""Score functions s(q, k): how well a key answers a query.

Each score is a layer that holds weights, around pure functions. It works in two steps,
so that whatever depends on one side alone is computed once, at linear cost:
`project_query` and `project_key`, then `compare`, the only step of size Tq x Tv.
"""

import keras
from keras import ops

from attention_zoo.layers.core.validation import (
    check_arguments,
    check_choice,
    check_positive_integer,
)
from attention_zoo.layers.core.weight_options import WeightOptions


def dot_scores(query, key):
    """Returns `q . k`: `(..., Tq, D)` and `(..., Tv, D)` to `(..., Tq, Tv)`."""
    return ops.matmul(query, ops.swapaxes(key, -2, -1))


def project(x, kernel):
    """Returns `x` `(..., D)` times `kernel` `(D, U)`, `(..., U)`.

    As a product of matrices: TensorFlow's own for higher ranks has a gradient that XLA
    cannot compile inside a loop over a batch of unknown size.
    """
    rows = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), kernel)
    return ops.reshape(rows, (*ops.shape(x)[:-1], kernel.shape[-1]))


def additive_scores(query, key, scale):
    """Returns `scale . tanh(q + k)`: `(..., Tq, U)`, `(..., Tv, U)` to all pairs."""
    hidden = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
    return ops.squeeze(project(hidden, ops.expand_dims(scale, -1)), -1)


def unit_length(x):
    """Returns `x` divided by its Euclidean length over the last axis; 0 stays 0."""
    wide = ops.cast(x, "float32") if x.dtype != "float64" else x
    squared = ops.sum(ops.square(wide), axis=-1, keepdims=True)
    inverse = ops.where(squared > 0, ops.rsqrt(ops.maximum(squared, 1e-24)), 0.0)
    return ops.cast(wide * inverse, x.dtype)


class Score(WeightOptions):
    """Base of the scores: called as `score(query, key)`.

    A subclass overrides `project_query`, `project_key` and `compare` (a pure function
    of its arguments), lists in `compare_weights` the variables that `compare` needs,
    and creates its weights in `build(query_shape, key_shape)`.

    Call arguments:
        query: Tensor of shape `(..., Tq, Dq)`.
        key: Tensor of shape `(..., Tv, Dk)`.

    Returns:
        Scores of shape `(..., Tq, Tv)`.
    """

    same_width = False  # whether Dq must equal Dk
    pairwise_width = 1  # numbers held per (query, key) pair while comparing

    def __init__(self, **kwargs):
        check_arguments(type(self), kwargs)
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, query_shape, key_shape=None):
        key_shape = query_shape if key_shape is None else key_shape
        if self.same_width and query_shape[-1] != key_shape[-1]:
            raise ValueError(
                f"`{type(self).__name__}` expects `query` and `key` of one width. "
                f"Received: query.shape={tuple(query_shape)}, "
                f"key.shape={tuple(key_shape)}"
            )
        self.built = True

    def project_query(self, query):
        return query

    def project_key(self, key):
        return key

    def compare_weights(self):
        return ()

    @staticmethod
    def compare(query, key, *weights):
        return dot_scores(query, key)

    @property
    def compares_by_dot(self):
        """Whether `compare` is the plain dot product of what was projected."""
        return type(self).compare is Score.compare

    def call(self, query, key):
        weights = [ops.convert_to_tensor(w) for w in self.compare_weights()]
        return self.compare(self.project_query(query), self.project_key(key), *weights)

    def compute_output_shape(self, query_shape, key_shape):
        return (*query_shape[:-1], key_shape[-2])


@keras.saving.register_keras_serializable("attention_zoo")
class DotScore(Score):
    """`q . k`. Luong et al. 2015, https://arxiv.org/abs/1508.04025."""

    same_width = True


@keras.saving.register_keras_serializable("attention_zoo")
class ScaledDotScore(Score):
    """`q . k / sqrt(Dk)`. Vaswani et al. 2017, https://arxiv.org/abs/1706.03762."""

    same_width = True

    def project_query(self, query):
        return query / ops.sqrt(ops.cast(query.shape[-1], query.dtype))


@keras.saving.register_keras_serializable("attention_zoo")
class CosineScore(Score):
    """`g q . k / (|q| |k|)`. Graves et al. 2014, https://arxiv.org/abs/1410.5401.

    The sharpness `g` is the weight `scale` of shape `()`, which starts at 1. A query or
    key of length 0 scores 0.
    """

    same_width = True

    def build(self, query_shape, key_shape=None):
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        super().build(query_shape, key_shape)

    def project_query(self, query):
        return unit_length(query) * ops.cast(self.scale, query.dtype)

    def project_key(self, key):
        return unit_length(key)


@keras.saving.register_keras_serializable("attention_zoo")
class GeneralScore(Score):
    """`q' W k`, `kernel` of shape `(Dq, Dk)`.

    Luong et al. 2015, https://arxiv.org/abs/1508.04025.
    """

    def build(self, query_shape, key_shape=None):
        key_shape = query_shape if key_shape is None else key_shape
        self.kernel = self.add_weight(
            name="kernel", shape=(query_shape[-1], key_shape[-1])
        )
        super().build(query_shape, key_shape)

    def project_query(self, query):
        return project(query, self.kernel)


class _UnitsScore(Score):
    """Shared by the scores with a hidden layer of `units` tanh units."""

    def __init__(self, units=None, **kwargs):
        super().__init__(**kwargs)
        if units is not None:
            check_positive_integer(type(self).__name__, units=units)
        self.units = units

    @staticmethod
    def compare(query, key, *weights):
        return additive_scores(query, key, *weights)

    def compare_weights(self):
        return (self.scale,)

    def _build_scale(self, key_shape):
        self.pairwise_width = self._units = self.units or key_shape[-1]
        self.scale = self.add_weight(
            name="scale", shape=(self._units,), initializer="glorot_uniform"
        )

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("attention_zoo")
class ConcatScore(_UnitsScore):
    """`v' tanh(W [q; k])`. Luong et al. 2015, https://arxiv.org/abs/1508.04025.

    `kernel` has shape `(Dq + Dk, units)`, `scale` has shape `(units,)`.

    Args:
        units: Width of the hidden layer. Defaults to `None`: as wide as the key.
    """

    def build(self, query_shape, key_shape=None):
        key_shape = query_shape if key_shape is None else key_shape
        self._build_scale(key_shape)
        self._query_width = query_shape[-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(query_shape[-1] + key_shape[-1], self._units)
        )
        super().build(query_shape, key_shape)

    def project_query(self, query):
        return project(query, self.kernel[: self._query_width])

    def project_key(self, key):
        return ops.matmul(key, self.kernel[self._query_width :])


@keras.saving.register_keras_serializable("attention_zoo")
class AdditiveScore(_UnitsScore):
    """`v' tanh(W1 q + W2 k + b)`. Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473.

    `query_kernel` has shape `(Dq, units)`, `key_kernel` `(Dk, units)`, `bias` and
    `scale` `(units,)`.

    Args:
        units: Width of the hidden layer. Defaults to `None`: as wide as the key.
        use_query: Whether the query is looked at; without it there is no
            `query_kernel`, and the score is Yang et al.'s `v' tanh(W2 k + b)`.
            Defaults to `True`.
    """

    def __init__(self, units=None, use_query=True, **kwargs):
        super().__init__(units=units, **kwargs)
        self.use_query = use_query

    def build(self, query_shape, key_shape=None):
        key_shape = query_shape if key_shape is None else key_shape
        self._build_scale(key_shape)
        if self.use_query:
            self.query_kernel = self.add_weight(
                name="query_kernel", shape=(query_shape[-1], self._units)
            )
        self.key_kernel = self.add_weight(
            name="key_kernel", shape=(key_shape[-1], self._units)
        )
        self.bias = self.add_weight(
            name="bias", shape=(self._units,), initializer="zeros"
        )
        super().build(query_shape, key_shape)

    def project_query(self, query):
        if not self.use_query:
            shape = (*ops.shape(query)[:-1], self._units)
            return ops.zeros(shape, dtype=query.dtype) + self.bias
        return project(query, self.query_kernel) + self.bias

    def project_key(self, key):
        return ops.matmul(key, self.key_kernel)

    def get_config(self):
        return {**super().get_config(), "use_query": self.use_query}


@keras.saving.register_keras_serializable("attention_zoo")
class LocationScore(Score):
    """`(W q + b)_j` for key position `j`, whatever the key holds.

    Luong et al. 2015, https://arxiv.org/abs/1508.04025. `kernel` has shape
    `(Dq, max_length)`, `bias` `(max_length,)`.

    Args:
        max_length: Longest key sequence. Defaults to `None`: the length of the key at
            `build`, which must then be known.
    """

    def __init__(self, max_length=None, **kwargs):
        super().__init__(**kwargs)
        if max_length is not None:
            check_positive_integer(type(self).__name__, max_length=max_length)
        self.max_length = max_length

    def build(self, query_shape, key_shape=None):
        key_shape = query_shape if key_shape is None else key_shape
        length = self.max_length or key_shape[-2]
        if length is None:
            raise ValueError(
                "`LocationScore` holds a weight for each key position and expects "
                "`max_length`, or a key of known length. Received: "
                f"max_length=None, key.shape={tuple(key_shape)}"
            )
        self._length = length
        self.kernel = self.add_weight(name="kernel", shape=(query_shape[-1], length))
        self.bias = self.add_weight(name="bias", shape=(length,), initializer="zeros")
        super().build(query_shape, key_shape)

    # All in `compare`, for blocks: a projected query has Tq x max_length elements.
    def compare_weights(self):
        return (self.kernel, self.bias)

    def project_key(self, key):
        if key.shape[-2] is not None and key.shape[-2] > self._length:
            raise ValueError(
                "`LocationScore` expects a key of at most `max_length` positions. "
                f"Received: max_length={self._length}, key.shape={tuple(key.shape)}"
            )
        return key

    @staticmethod
    def compare(query, key, kernel, bias):
        length = ops.shape(key)[-2]
        return ops.matmul(query, kernel[:, :length]) + bias[:length]

    def get_config(self):
        return {**super().get_config(), "max_length": self.max_length}


SCORES = {
    "dot": DotScore,
    "scaled_dot": ScaledDotScore,
    "cosine": CosineScore,
    "general": GeneralScore,
    "concat": ConcatScore,
    "additive": AdditiveScore,
    "location": LocationScore,
}


def get_score(identifier, units=None, owner="Attention", dtype=None):
    """Returns a `Score` from its name, its config or itself.

    Args:
        identifier: One of the names in `SCORES`, a serialized score, or a `Score`.
        units: Hidden width for `"concat"` and `"additive"`, None for the others.
        owner: Name of the layer that asks, for the message.
        dtype: Dtype policy of a score made from its name.

    Raises:
        ValueError: for a name outside the set, or `units` where no score takes it.
    """
    if isinstance(identifier, dict):
        identifier = keras.saving.deserialize_keras_object(identifier)
    config = {"units": units} if identifier in ("concat", "additive") else {}
    if units is not None:
        check_positive_integer(owner, units=units)
        if not config:
            raise ValueError(
                f"`{owner}` takes `units` with score 'concat' or 'additive' only. "
                f"Received: score={identifier!r}, units={units}"
            )
    if isinstance(identifier, Score):
        return identifier
    check_choice(owner, SCORES, score=identifier)
    return SCORES[identifier](name=identifier, dtype=dtype, **config)
