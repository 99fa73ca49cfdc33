"""The state space layer of Mamba-2, which is an attention with a decay."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.efficient._recurrence import even_decays, even_steps
from attention_zoo.layers.efficient.stateful import StatefulAttention


@keras.saving.register_keras_serializable("attention_zoo")
class StateSpaceDual(StatefulAttention):
    """A selective state space that is an attention with a learned decay: Mamba-2, SSD.

    1. Values, keys and queries (the paper's `X`, `B` and `C`), products of the inputs
       with kernels, each feature through a causal convolution over the last `conv_size`
       positions and `silu`: values `(B, H, T, V)`, keys and queries `(B, T, K)`, the
       same for all heads.
    2. Steps: `d = softplus(x W_d + step_bias)`, shape `(B, H, T)`.
    3. State: `s_t = exp(-exp(decay_scale) d_t) s_{t-1} + d_t k_t' v_t`, and
       `y_t = q_t s_t + skip_scale v_t`. The weights are
       `a_ij = q_i . k_j d_j exp(-exp(decay_scale) (d_{j+1} + ... + d_i))`.
    4. Output: `(norm(y * silu(x W_g)) * scale) W_o`, `norm` to a mean square of 1 over
       all heads, shape `(B, T, D)`.

    `step(x, state)` takes one position at a time, at a cost that does not grow; the
    whole is computed in chunks, in time and memory linear in T. Weights: `query`,
    `key`, `value`, `step`, `gate` and `attention_output` without biases, `conv_kernel`
    `(conv_size, 2 K + H V)` and `conv_bias`, `norm_scale` `(H V,)`, and `decay_scale`,
    `step_bias` and `skip_scale` `(H,)`; they start evenly where the paper draws them.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width `K` of keys and queries, the size of the state.
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
        `return_attention_scores=True` the weights of shape `(B, H, T, T)` without the
        skip, which can be negative and have no fixed sum, at a cost of `T x T`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.StateSpaceDual(num_heads=2, key_dim=4)
    output = layer(x)
    first, state = layer.step(x[:, 0])
    second, state = layer.step(x[:, 1], state)
    np.testing.assert_allclose(second, output[:, 1], atol=1e-4)
    ```

    References:
        - Dao and Gu 2024, https://arxiv.org/abs/2405.21060
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

    @property
    def _conv_width(self):
        return 2 * self.key_dim + self.num_heads * self._value_width

    def _build_parts(self, shape):
        heads, width = (self.num_heads,), self.num_heads * self._value_width
        self._value = self._dense("value", width, shape)
        self._key = self._dense("key", self.key_dim, shape)
        self._query = self._dense("query", self.key_dim, shape)
        self._step = self._dense("step", self.num_heads, shape)
        self._gate = self._dense("gate", width, shape)
        channels = (self._conv_width,)
        self.conv_kernel = self.add_weight(
            name="conv_kernel", shape=(self.conv_size, *channels)
        )
        self.conv_bias = self.add_weight(
            name="conv_bias", shape=channels, initializer="zeros"
        )
        self.norm_scale = self.add_weight(
            name="norm_scale", shape=(width,), initializer="ones"
        )
        self.decay_scale = self.add_weight(
            name="decay_scale", shape=heads, initializer=even_decays
        )
        self.step_bias = self.add_weight(
            name="step_bias", shape=heads, initializer=even_steps
        )
        self.skip_scale = self.add_weight(
            name="skip_scale", shape=heads, initializer="ones"
        )

    def _read(self, x, state):
        parts = [self._value(x), self._key(x), self._query(x)]
        joined, more = self._convolve(
            ops.concatenate(parts, axis=-1), self.conv_kernel, state
        )
        joined = ops.silu(joined + ops.cast(self.conv_bias, joined.dtype))
        width = self.num_heads * self._value_width
        value = self._split(joined[..., :width], self._value_width)
        shared = ops.expand_dims(widen(joined[..., width:]), 1)  # (B, 1, T, 2 K)
        steps = widen(self._step(x))
        steps = self._split(ops.softplus(steps + self._wide(self.step_bias)), 1)
        decays = ops.reshape(ops.exp(self._wide(self.decay_scale)), (-1, 1, 1))
        key = shared[..., : self.key_dim] * steps
        query = shared[..., self.key_dim :] * ops.ones_like(steps)
        return (query, key, value, -decays * steps, None), more

    def _wide(self, weight):
        return ops.cast(weight, self._wide_dtype)

    def _finish(self, x, heads, value):
        skip = ops.reshape(self._wide(self.skip_scale), (-1, 1, 1))
        y = self._join(heads + skip * value) * ops.silu(widen(self._gate(x)))
        square = ops.mean(ops.square(y), axis=-1, keepdims=True)
        y = y / ops.sqrt(square + self.epsilon) * self._wide(self.norm_scale)
        return self._output(ops.cast(y, x.dtype))

    def get_config(self):
        return {**super().get_config(), "conv_size": self.conv_size}
