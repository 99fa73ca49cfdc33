"""Attention by the delta rule: a memory that corrects what it holds."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.efficient.stateful import StatefulAttention


def unit_length(x):
    """Returns `x / sqrt(sum(x^2) + 1e-6)` over the last axis."""
    return x / ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6)


@keras.saving.register_keras_serializable("attention_zoo")
class DeltaAttention(StatefulAttention):
    """Causal linear attention that replaces what a key stood for: DeltaNet.

    1. Heads: `q`, `k` and `v`, products of the inputs with kernels, each feature
       through a causal convolution over the last `conv_size` positions and `silu`; `q`
       and `k` of length 1; shape `(B, H, T, K)`, or `V` wide.
    2. Rates: `b = sigmoid(x W_b)`, shape `(B, H, T)`.
    3. State: `s_t = s_{t-1} + b_t k_t' (v_t - k_t s_{t-1})`, which takes away what the
       state held for `k_t` before, and `y_t = q_t s_t`.
    4. Output: `(norm(y) * scale) W_o`, `norm` to a mean square of 1 for each head,
       shape `(B, T, D)`.

    `step(x, state)` takes one position at a time, at a cost that does not grow; the
    whole is computed in chunks, in time and memory linear in T. Weights: `query`,
    `key`, `value`, `rate` and `attention_output` without biases, `conv_kernel`
    `(conv_size, H (2 K + V))` and `norm_scale` `(V,)`.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width `K` of each head's queries and keys.
        value_dim: Integer. Width `V` of each head's values. Defaults to `None`, which
            stands for `key_dim`.
        conv_size: Integer. Positions that the convolution sees. Defaults to `4`.
        chunk_size: Integer. Number of positions compared at a time. Defaults to `64`.
        epsilon: Positive float. Added to the mean square in step 4. Defaults to
            `1e-6`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of shape `(B, T, D)`, zeros at padding, and with
        `return_attention_scores=True` the weights of shape `(B, H, T, T)` that the
        values have in `y`, which can be negative, at a cost of `T x T x T`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.DeltaAttention(num_heads=2, key_dim=4)
    output = layer(x)
    first, state = layer.step(x[:, 0])
    second, state = layer.step(x[:, 1], state)
    np.testing.assert_allclose(second, output[:, 1], atol=1e-4)
    ```

    References:
        - Yang et al. 2024, https://arxiv.org/abs/2406.06484
        - Schlag et al. 2021, https://arxiv.org/abs/2102.11174
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        conv_size=4,
        chunk_size=64,
        epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(num_heads, key_dim, value_dim, chunk_size, epsilon, **kwargs)
        check_positive_integer(type(self).__name__, conv_size=conv_size)
        self.conv_size = conv_size

    def _build_parts(self, shape):
        keys = self.num_heads * self.key_dim
        values = self.num_heads * self._value_width
        self._query = self._dense("query", keys, shape)
        self._key = self._dense("key", keys, shape)
        self._value = self._dense("value", values, shape)
        self._rate = self._dense("rate", self.num_heads, shape)
        self.conv_kernel = self.add_weight(
            name="conv_kernel", shape=(self.conv_size, 2 * keys + values)
        )
        self.norm_scale = self.add_weight(
            name="norm_scale", shape=(self._value_width,), initializer="ones"
        )

    def _read(self, x, state):
        parts = [self._query(x), self._key(x), self._value(x)]
        joined, more = self._convolve(
            ops.concatenate(parts, axis=-1), self.conv_kernel, state
        )
        joined, keys = ops.silu(joined), self.num_heads * self.key_dim
        query = unit_length(self._split(joined[..., :keys], self.key_dim))
        key = unit_length(self._split(joined[..., keys : 2 * keys], self.key_dim))
        value = self._split(joined[..., 2 * keys :], self._value_width)
        rate = self._split(ops.sigmoid(widen(self._rate(x))), 1)
        return (query, key, value, self._log_decay(x, rate), rate), more

    def _log_decay(self, x, rate):
        """Returns the logarithm of the decay, `(B, H, T, 1)`."""
        return ops.zeros_like(rate)

    def get_config(self):
        return {**super().get_config(), "conv_size": self.conv_size}
