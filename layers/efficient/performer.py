"""Performer: softmax attention estimated with random features."""

import math

import keras
import numpy as np
from keras import ops

from attention_zoo.layers.core.entmax import LOWEST
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.efficient.linear import FeatureAttention


def orthogonal_gaussian(width, count, seed=None):
    """Returns `count` Gaussian vectors of `width`, orthogonal in groups of `width`.

    The directions are those of a random orthogonal matrix, the lengths those of
    Gaussian vectors, so that each vector by itself is Gaussian.

    Returns:
        NumPy array `(width, count)`.
    """
    rng = np.random.default_rng(seed)
    groups = []
    for _ in range(math.ceil(count / width)):
        basis, upper = np.linalg.qr(rng.normal(size=(width, width)))
        groups.append(basis * np.sign(np.diag(upper)))  # uniform among rotations
    directions = np.concatenate(groups, axis=1)[:, :count]
    return directions * np.linalg.norm(rng.normal(size=(width, count)), axis=0)


def positive_features(x, projection, peak, mask=None):
    """Returns `exp(w . x - |x|^2 / 2 - peak) / sqrt(M)` for each vector `w`.

    Args:
        x: Tensor `(B, T, D)`.
        projection: Tensor `(D, M)`.
        peak: `"row"` or `"all"`: what is subtracted, for `exp` not to overflow, is the
            largest exponent of the row, or of all visible rows.
        mask: Boolean tensor `(B, T)` or None; features are 0 where it is False.

    Returns:
        Tensor `(B, T, M)`.
    """
    exponents = ops.matmul(x, projection)
    exponents = exponents - ops.sum(ops.square(x), axis=-1, keepdims=True) / 2
    if mask is not None:
        exponents = ops.where(ops.expand_dims(mask, -1), exponents, LOWEST)
    axes = -1 if peak == "row" else (-2, -1)
    largest = ops.stop_gradient(ops.max(exponents, axis=axes, keepdims=True))
    largest = ops.maximum(largest, LOWEST / 2)  # of a row of nothing but padding
    return ops.exp(exponents - largest) / math.sqrt(projection.shape[-1])


@keras.saving.register_keras_serializable("attention_zoo")
class PerformerAttention(FeatureAttention):
    """Softmax attention in linear time, estimated with random features (FAVOR+).

    1. Features of `x = q / D^(1/4)` and `x = k / D^(1/4)`: `exp(w_m . x - |x|^2 / 2) /
       sqrt(M)` for `M` random vectors, shapes `(B, Tq, M)` and `(B, Tv, M)`. On average
       their product is `exp(q . k / sqrt(D))`.
    2. As in `LinearAttention`: sums over the keys, shape `(B, M, Dv)`, then the output,
       shape `(B, Tq, Dv)`.

    The error falls as `1 / sqrt(M)` and grows fast with the length of queries and keys.
    The vectors are Gaussian and orthogonal in groups of `D`; they are the weight
    `projection` `(D, M)`, which is not trained and is saved with the layer. The paper
    draws them anew in training now and then; `redraw` does that. Constants that keep
    `exp` from overflowing cancel in the division; the paper's small addition to each
    feature, which biases the estimate, is left out.

    Args:
        num_features: Number of random vectors `M`. Defaults to `256`.
        chunk_size: As in `LinearAttention`. Defaults to `64`.
        seed: Python integer for the vectors. Defaults to `None`: NumPy's global seed,
            which `keras.utils.set_random_seed` sets.

    Call arguments: As in `Attention`, without `attention_mask`; `key` is as wide as
    `query`.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, at a cost of `Tq x Tv`.

    Reference: Choromanski et al. 2020, https://arxiv.org/abs/2009.14794
    """

    def __init__(self, num_features=256, chunk_size=64, seed=None, **kwargs):
        super().__init__(chunk_size=chunk_size, **kwargs)
        check_positive_integer(type(self).__name__, num_features=num_features)
        self.num_features = num_features
        self.seed = seed

    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.projection = self.add_weight(
            name="projection",
            shape=(query_shape[-1], self.num_features),
            initializer=lambda shape, dtype: ops.convert_to_tensor(
                self._draw(self.seed, *shape), dtype=dtype
            ),
            trainable=False,
        )

    def _draw(self, seed, width, count):
        if seed is None:
            seed = np.random.randint(2**31)
        return orthogonal_gaussian(width, count, seed)

    def redraw(self, seed=None):
        """Replaces the random vectors by new ones."""
        self.projection.assign(self._draw(seed, *self.projection.shape))

    def _features(self, query, key, key_mask):
        scale = query.shape[-1] ** -0.25
        projection = ops.cast(self.projection, query.dtype)
        # One constant for all keys: in the division, only that cancels.
        return (
            positive_features(query * scale, projection, "row"),
            positive_features(key * scale, projection, "all", key_mask),
        )

    def get_config(self):
        config = {"num_features": self.num_features, "seed": self.seed}
        return {**super().get_config(), **config}
