"""Gated linear attention: a forgetting gate for each feature of a key."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_number, check_positive_integer
from attention_zoo.layers.efficient.stateful import StatefulAttention

MOST = 16  # positions in a chunk
LEAST_LOG_DECAY = -60 / MOST  # exp(60) is a float32


@keras.saving.register_keras_serializable("attention_zoo")
class GatedLinearAttention(StatefulAttention):
    """Causal linear attention that forgets each feature at a rate read from the inputs.

    1. Heads: `q = x W_q / sqrt(K)`, `k = x W_k`, `v = x W_v`, shape `(B, H, T, K)`, or
       `V` wide.
    2. Gates: `g = sigmoid(x W_1 W_2 + b)^(1 / 16)`, `W_1` `gate_rank` wide, one for
       each feature of a key, shape `(B, H, T, K)`.
    3. State: `s_t = g_t' * s_{t-1} + k_t' v_t`, and `y_t = q_t s_t`. The weights are
       `a_ij = sum_d q_id k_jd g_{j+1,d} ... g_id` for `j <= i`.
    4. Output: `(silu(x W_r + b_r) * norm(y)) W_o`, `norm` to mean 0 and variance 1 for
       each head, shape `(B, T, D)`.

    `step(x, state)` takes one position at a time, at a cost that does not grow; the
    whole is computed in chunks, in time and memory linear in T. Parts are called
    `query`, `key`, `value`, `decay_down`, `decay_up`, `gate` and `attention_output`.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width `K` of each head's queries and keys.
        value_dim: Integer. Width `V` of each head's values. Defaults to `None`, which
            stands for `2 * key_dim`.
        gate_rank: Integer. Width between the two kernels of the gates. Defaults to
            `16`.
        chunk_size: Integer. Number of positions compared at a time, at most 16.
            Defaults to `16`.
        epsilon: Positive float. Added to the variance in step 4. Defaults to `1e-6`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of shape `(B, T, D)`, zeros at padding, and with
        `return_attention_scores=True` the weights of shape `(B, H, T, T)`, which can be
        negative and have no fixed sum, at a cost of `T x T x K`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.GatedLinearAttention(num_heads=2, key_dim=4)
    output = layer(x)
    first, state = layer.step(x[:, 0])
    second, state = layer.step(x[:, 1], state)
    np.testing.assert_allclose(second, output[:, 1], atol=1e-4)
    ```

    References:
        - Yang et al. 2023, https://arxiv.org/abs/2312.06635
    """

    centered = True

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        gate_rank=16,
        chunk_size=16,
        epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(num_heads, key_dim, value_dim, chunk_size, epsilon, **kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, gate_rank=gate_rank)
        check_number(owner, maximum=MOST, chunk_size=chunk_size)
        self.gate_rank = gate_rank

    @property
    def _value_width(self):
        return self.value_dim or 2 * self.key_dim

    def _build_parts(self, shape):
        keys = self.num_heads * self.key_dim
        values = self.num_heads * self._value_width
        self._query = self._dense("query", keys, shape)
        self._key = self._dense("key", keys, shape)
        self._value = self._dense("value", values, shape)
        self._down = self._dense("decay_down", self.gate_rank, shape)
        low = (*shape[:2], self.gate_rank)
        self._up = self._dense("decay_up", keys, low, use_bias=True)
        self._gate = self._dense("gate", values, shape, use_bias=True)

    def _read(self, x, state):
        query = self._split(self._query(x), self.key_dim) / self.key_dim**0.5
        key = self._split(self._key(x), self.key_dim)
        value = self._split(self._value(x), self._value_width)
        logits = self._split(self._up(self._down(x)), self.key_dim)
        log_decay = ops.maximum(ops.log_sigmoid(logits) / 16, LEAST_LOG_DECAY)
        return (query, key, value, log_decay, None), {}

    def get_config(self):
        return {**super().get_config(), "gate_rank": self.gate_rank}
