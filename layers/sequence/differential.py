"""Differential attention: two softmax maps, one subtracted from the other."""

import math

import keras
from keras import ops

from attention_zoo.layers.core.masks import check_window
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.scores import dot_scores
from attention_zoo.layers.core.validation import (
    check_attention_shapes,
    check_positive_integer,
    check_rate,
)


def head_norm(x, scale, epsilon=1e-5):
    """Returns `x / rms(x) * scale` over the last axis; squares in at least float32."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    wide = widen(x)
    power = ops.mean(ops.square(wide), axis=-1, keepdims=True)
    return ops.cast(wide * ops.rsqrt(power + epsilon), dtype) * scale


@keras.saving.register_keras_serializable("attention_zoo")
class DifferentialAttention(QueryValueAttention):
    """Multi-head attention whose noise cancels: `softmax(Q1 K1') - l softmax(Q2 K2')`.

    `H` is the number of heads, `K` the `key_dim`.

    1. Projections to two queries and keys a head, `(B, H, 2, T, K)`, and a value
       `(B, H, Tv, 2K)`.
    2. Weights `softmax(Q1 K1' / sqrt(K)) - lambda softmax(Q2 K2' / sqrt(K))`, shape
       `(B, H, Tq, Tv)`: a row sums to `1 - lambda` and may hold negative weights.
    3. Weighted sums of the values, each head normalised by its root mean square and
       scaled by `1 - lambda_init`, then projected, `(B, Tq, Dq)`.

    `lambda = exp(l_q1 . l_k1) - exp(l_q2 . l_k2) + lambda_init`, with four learned
    vectors `(K,)` that the heads share.

    Args:
        num_heads: Integer. Number of heads `H`. Defaults to `4`.
        key_dim: Integer. Width `K` of each of a head's queries and keys. Defaults to
            `16`.
        lambda_init: Float in [0, 1); the paper takes `0.8 - 0.6 exp(-0.3 (l - 1))` in
            layer `l` of a network. Defaults to `0.2`, the first layer's.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `None`: all keys.
        seed: Integer. Seed of dropout and of the start of lambda. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)` or `(B, H, Tq, Tv)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Dq)`, and with `return_attention_scores=True` the
        weights of shape `(B, H, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.DifferentialAttention(num_heads=3, key_dim=2, lambda_init=0.2)
    output, weights = layer(x, x, return_attention_scores=True)
    assert output.shape == (2, 7, 5) and weights.shape == (2, 3, 7, 7)
    ```

    References:
        - Ye et al. 2024, https://arxiv.org/abs/2410.05258
    """

    def __init__(
        self,
        num_heads=4,
        key_dim=16,
        lambda_init=0.2,
        dropout=0.0,
        window=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, num_heads=num_heads, key_dim=key_dim)
        check_rate(owner, lambda_init=lambda_init, dropout=dropout)
        self._window = check_window(owner, window)
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.lambda_init = lambda_init
        self.dropout = dropout
        self.window = window
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if dropout else None

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        shapes = tuple(query_shape), tuple(value_shape), tuple(key_shape)
        check_attention_shapes(type(self).__name__, *shapes)
        heads, width = self.num_heads, self.key_dim
        pair = (heads, 2, width)
        self.query_kernel = self.add_weight(
            name="query_kernel", shape=(shapes[0][-1], *pair)
        )
        self.key_kernel = self.add_weight(
            name="key_kernel", shape=(shapes[2][-1], *pair)
        )
        self.value_kernel = self.add_weight(
            name="value_kernel", shape=(shapes[1][-1], heads, 2 * width)
        )
        self.output_kernel = self.add_weight(
            name="output_kernel", shape=(heads, 2 * width, shapes[0][-1])
        )
        self.norm_scale = self.add_weight(
            name="norm_scale", shape=(2 * width,), initializer="ones"
        )
        normal = keras.initializers.RandomNormal(stddev=0.1, seed=self.seed)
        self.lambdas = self.add_weight(
            name="lambdas", shape=(2, 2, width), initializer=normal
        )  # (first or second map, query or key, K)
        self.built = True

    def _lambda(self):
        """Returns the factor of the second map, a scalar in at least float32."""
        dots = ops.sum(ops.prod(ops.cast(self.lambdas, "float32"), axis=1), axis=-1)
        powers = ops.exp(dots)
        return powers[0] - powers[1] + self.lambda_init

    def _attend(self, query, value, key, mask, training, need_weights):
        dtype = query.dtype
        queries = ops.einsum("btd,dhpk->bhptk", query, self.query_kernel)
        keys = ops.einsum("btd,dhpk->bhptk", key, self.key_kernel)
        values = ops.einsum("btd,dhv->bhtv", value, self.value_kernel)
        scores = dot_scores(queries / math.sqrt(self.key_dim), keys)
        if self.compute_dtype in ("float16", "bfloat16"):
            scores = ops.cast(scores, "float32")
        seen = mask.rows(ops.shape(query)[1], ops.shape(key)[1])
        seen = None if seen is None else ops.expand_dims(seen, 2)
        maps = masked_softmax(scores, seen)  # (B, H, 2, Tq, Tv)
        factor = ops.cast(self._lambda(), maps.dtype)
        weights = ops.cast(maps[:, :, 0] - factor * maps[:, :, 1], dtype)
        if training and self.dropout:
            weights = keras.random.dropout(
                weights, self.dropout, seed=self.seed_generator
            )
        output = head_norm(ops.matmul(weights, values), self.norm_scale)
        output = output * (1 - self.lambda_init)
        output = ops.einsum("bhtv,hvd->btd", output, self.output_kernel)
        return output, weights

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        return tuple(query_shape)

    def get_config(self):
        config = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "lambda_init": self.lambda_init,
            "dropout": self.dropout,
            "window": self.window,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
