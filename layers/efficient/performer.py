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
    # `initial` is for a row of padding only, and for a batch of 0.
    largest = ops.max(exponents, axis=axes, keepdims=True, initial=LOWEST / 2)
    largest = ops.stop_gradient(largest)
    return ops.exp(exponents - largest) / math.sqrt(projection.shape[-1])


@keras.saving.register_keras_serializable("attention_zoo")
class PerformerAttention(FeatureAttention):
    """Softmax attention in linear time, estimated with random features (FAVOR+).

    1. Features of `x = q / D^(1/4)` and `x = k / D^(1/4)`: `exp(w_m . x - |x|^2 / 2) /
       sqrt(M)` for `M` random vectors, shapes `(B, Tq, M)` and `(B, Tv, M)`. On average
       their product is `exp(q . k / sqrt(D))`.
    2. Sums over the keys, shape `(B, M, Dv)`, then the output,
       shape `(B, Tq, Dv)`.

    The error falls as `1 / sqrt(M)` and grows fast with the length of queries and keys.
    The vectors are Gaussian and orthogonal in groups of `D`; they are the weight
    `projection` `(D, M)`, which is not trained and is saved with the layer. The paper
    draws them anew in training now and then; `redraw` does that. Constants that keep
    `exp` from overflowing cancel in the division; the paper's small addition to each
    feature, which biases the estimate, is left out.

    Args:
        num_features: Integer. Number of random vectors `M`. Defaults to `256`.
        chunk_size: Integer. Number of queries that the causal form takes at a time:
            time and memory of `T x chunk_size` and of `T / chunk_size x M x Dv`.
            Defaults to `64`.
        seed: Integer. Seed of the vectors. Defaults to `None`: NumPy's global seed,
            which `keras.utils.set_random_seed` sets.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        query: Tensor of shape `(B, Tq, D)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, D)`, as wide as `query`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: None. No other is taken.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, at a cost of `Tq x Tv`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 5), "float32")
    output = layers.PerformerAttention(num_features=11, seed=1)(query, value)
    np.testing.assert_allclose(output, np.ones((2, 3, 5)), atol=1e-5)
    ```

    References:
        - Choromanski et al. 2020, https://arxiv.org/abs/2009.14794
    """

    weight_arguments = ()

    def __init__(self, num_features=256, chunk_size=64, seed=None, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer(
            type(self).__name__, num_features=num_features, chunk_size=chunk_size
        )
        self.num_features = num_features
        self.chunk_size = chunk_size
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
        config = {
            "num_features": self.num_features,
            "chunk_size": self.chunk_size,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
