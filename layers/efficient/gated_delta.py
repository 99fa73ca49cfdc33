"""The delta rule with a forgetting gate."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.efficient._recurrence import even_decays, even_steps
from attention_zoo.layers.efficient.delta import DeltaAttention


@keras.saving.register_keras_serializable("attention_zoo")
class GatedDeltaAttention(DeltaAttention):
    """Attention by the delta rule that can also clear its memory: Gated DeltaNet.

    1. Heads: `q`, `k` and `v`, products of the inputs with kernels, each feature
       through a causal convolution over the last `conv_size` positions and `silu`; `q`
       and `k` of length 1; shape `(B, H, T, K)`, or `V` wide.
    2. Rates: `b = sigmoid(x W_b)`, and gates
       `g = exp(-exp(decay_scale) softplus(x W_a + step_bias))`, shape `(B, H, T)`.
    3. State: `s_t = g_t s_{t-1} + b_t k_t' (v_t - k_t g_t s_{t-1})`, and
       `y_t = q_t s_t`.
    4. Output: `(norm(y) * scale * silu(x W_g)) W_o`, `norm` to a mean square of 1 for
       each head, shape `(B, T, D)`.

    `step(x, state)` takes one position at a time, at a cost that does not grow; the
    whole is computed in chunks, in time and memory linear in T. Weights: `query`,
    `key`, `value`, `rate`, `step`, `gate` and `attention_output` without biases,
    `conv_kernel` `(conv_size, H (2 K + V))`, `norm_scale` `(V,)`, and `decay_scale`
    and `step_bias` `(H,)`, which start evenly where the paper draws them.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width `K` of each head's queries and keys.
        value_dim: Integer. Width `V` of each head's values. Defaults to `None`, which
            stands for `2 * key_dim`.
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
    layer = layers.GatedDeltaAttention(num_heads=2, key_dim=4)
    output = layer(x)
    first, state = layer.step(x[:, 0])
    second, state = layer.step(x[:, 1], state)
    np.testing.assert_allclose(second, output[:, 1], atol=1e-4)
    ```

    References:
        - Yang et al. 2024, https://arxiv.org/abs/2412.06464
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
        super().__init__(
            num_heads, key_dim, value_dim, conv_size, chunk_size, epsilon, **kwargs
        )

    @property
    def _value_width(self):
        return self.value_dim or 2 * self.key_dim

    def _build_parts(self, shape):
        super()._build_parts(shape)
        heads = (self.num_heads,)
        self._step = self._dense("step", self.num_heads, shape)
        self._gate = self._dense("gate", self.num_heads * self._value_width, shape)
        self.decay_scale = self.add_weight(
            name="decay_scale", shape=heads, initializer=even_decays
        )
        self.step_bias = self.add_weight(
            name="step_bias", shape=heads, initializer=even_steps
        )

    def _log_decay(self, x, rate):
        steps = widen(self._step(x))
        steps = ops.softplus(steps + ops.cast(self.step_bias, steps.dtype))
        decays = ops.exp(ops.cast(self.decay_scale, steps.dtype))
        return self._split(-decays * steps, 1)
