"""Retention: attention with a decay in place of the softmax."""

import keras
import numpy as np
from keras import ops

from attention_zoo.layers.core.positions import rotate
from attention_zoo.layers.efficient.stateful import StatefulAttention


@keras.saving.register_keras_serializable("attention_zoo")
class Retention(StatefulAttention):
    """Causal attention whose weights fade with distance, also step by step: RetNet.

    1. Heads: `q`, `k` and `v`, products of the inputs with kernels, `q` and `k` with
       rotary positions, `k` divided by `sqrt(K)`; shape `(B, H, T, K)`, or `V` wide.
    2. Weights: `a_ij = q_i . k_j decay_h^(i - j)` for `j <= i`, with
       `decay_h = 1 - 2^(-5 - h)` for head `h` from 0; no softmax.
    3. `y_i = sum_j a_ij v_j`, normalized to mean 0 and variance 1 for each head.
    4. Output: `(silu(x W_g) * y) W_o`, shape `(B, T, D)`.

    The same comes out of a state of fixed size, `s_i = decay s_{i-1} + k_i' v_i` and
    `y_i = q_i s_i`: `step(x, state)` takes one position at a time, at a cost that does
    not grow; the whole is computed in chunks, in time and memory linear in T. Kernels
    are called `query`, `key`, `value`, `gate` and `attention_output`; there are no
    biases. The paper's further factors on a row of weights cancel in step 3. Padding
    does not count in the decay.

    Args:
        num_heads: Integer. Number of heads `H`.
        key_dim: Integer. Width `K` of each head's queries and keys, even.
        value_dim: Integer. Width `V` of each head's values. Defaults to `None`, which
            stands for `2 * key_dim`.
        chunk_size: Integer. Number of positions compared at a time. Defaults to `64`.
        epsilon: Positive float. Added to the variance in step 3. Defaults to `1e-6`.
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
        negative and have no fixed sum, at a cost of `T x T`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    x = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.Retention(num_heads=2, key_dim=4)
    output = layer(x)
    state = layer.initial_state(2)
    for i in range(7):
        last, state = layer.step(x[:, i], state)
    np.testing.assert_allclose(last, output[:, -1], atol=1e-4)
    ```

    References:
        - Sun et al. 2023, https://arxiv.org/abs/2307.08621
    """

    centered = True

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        chunk_size=64,
        epsilon=1e-6,
        **kwargs,
    ):
        super().__init__(num_heads, key_dim, value_dim, chunk_size, epsilon, **kwargs)
        if key_dim % 2:
            raise ValueError(
                "`Retention` rotates pairs of features and expects an even `key_dim`. "
                f"Received: key_dim={key_dim}"
            )

    @property
    def _value_width(self):
        return self.value_dim or 2 * self.key_dim

    def _build_parts(self, shape):
        heads, width = self.num_heads, self.num_heads * self._value_width
        self._query = self._dense("query", heads * self.key_dim, shape)
        self._key = self._dense("key", heads * self.key_dim, shape)
        self._value = self._dense("value", width, shape)
        self._gate = self._dense("gate", width, shape)

    def _read(self, x, state):
        start = state["position"]
        query = rotate(self._split(self._query(x), self.key_dim), start)
        key = rotate(self._split(self._key(x), self.key_dim), start)
        value = self._split(self._value(x), self._value_width)
        decays = np.log(1 - 2.0 ** (-5 - np.arange(self.num_heads)))
        decays = ops.convert_to_tensor(decays[:, None, None], dtype=query.dtype)
        log_decay = decays * ops.ones_like(query[..., :1])
        more = {"position": start + ops.shape(x)[1]}
        return (query, key / self.key_dim**0.5, value, log_decay, None), more

    def initial_state(self, batch_size):
        position = ops.convert_to_tensor(0, dtype="int32")
        return {**super().initial_state(batch_size), "position": position}
