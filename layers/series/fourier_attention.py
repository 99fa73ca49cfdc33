"""Fourier attention: two series meet at a few of their frequencies."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.validation import (
    check_choice,
    check_positive_integer,
    is_integer,
)
from attention_zoo.layers.series._fourier import (
    MODE_SELECTIONS,
    choose_modes,
    draw_places,
    from_modes,
    mix_modes,
    modulus,
    to_modes,
    waves,
)
from attention_zoo.layers.series._shared import SeriesAttention, step_ranks


def check_modes(owner, num_modes, mode_select, seed):
    """Raises `ValueError` unless the choice of modes can be made, and made again."""
    check_positive_integer(owner, num_modes=num_modes)
    check_choice(owner, MODE_SELECTIONS, mode_select=mode_select)
    if not is_integer(seed) or seed < 0:
        raise ValueError(
            f"Invalid value for argument `seed` of `{owner}`. Expected an integer of "
            "at least 0, since weights belong to the modes that it chooses. "
            f"Received: seed={seed!r}"
        )


class Modes:
    """The modes of a batch of series of `size` steps, of which `mask` are there."""

    def __init__(self, size, mask, num_modes, places):
        if mask is None:
            steps = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
            self.length = ops.sum(ops.ones_like(steps), axis=1, keepdims=True)
        else:
            steps = step_ranks(mask)
            self.length = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
        self.mask = mask
        self.frequencies, self.used = choose_modes(self.length, num_modes, places)
        self._waves = waves(self.frequencies, self.used, self.length, steps)

    def transform(self, x):
        """Returns the modes of heads `(B, H, T, K)`, a pair of `(B, H, M, K)`."""
        if self.mask is not None:
            there = ops.expand_dims(self.mask, (1, 3))
            x = ops.where(there, x, ops.zeros_like(x))
        return to_modes(x, *(ops.cast(wave, x.dtype) for wave in self._waves))

    def invert(self, x):
        """Returns heads `(B, H, T, K)` of modes, a pair of `(B, H, M, K)`."""
        pair = (ops.cast(wave, x[0].dtype) for wave in self._waves)
        return from_modes(x, self.frequencies, self.length, *pair)


def mode_scores(query, key):
    """Returns `|Q K'|` of two pairs `(B, H, M, K)`, shape `(B, H, M, M)`."""
    (real_q, imag_q), (real_k, imag_k) = query, key
    real_k, imag_k = ops.swapaxes(real_k, 2, 3), ops.swapaxes(imag_k, 2, 3)
    real = ops.matmul(real_q, real_k) - ops.matmul(imag_q, imag_k)
    return modulus(real, ops.matmul(real_q, imag_k) + ops.matmul(imag_q, real_k))


@keras.saving.register_keras_serializable("attention_zoo")
class FourierAttention(SeriesAttention):
    """Attention between a few frequencies of two series, in place of their steps.

    `M` is the number of modes, `F` the Fourier transform over the steps that are not
    padding, orthonormal, so that scores do not grow with the length.

    1. Projections to heads, `(B, H, T, K)`, and their modes `F(Q)`, `F(K)`, `F(V)`,
       complex, `(B, H, M, K)`.
    2. Weights: `softmax(|F(Q) F(K)'|)`, shape `(B, H, M, M)`.
    3. Modes of the output: the weighted sums of `F(V)`, each times its own learned
       complex matrix, `(B, H, M, K)`.
    4. Back to steps, all other modes 0, and the heads projected, `(B, Tq, Dq)`.

    A series of L steps has `L // 2 + 1` modes; if that is less than M, all take part
    and the other slots are empty. `mode_select="low"` takes the lowest, `"random"` one
    at random from each of M bands of like width, so that series of any length, known or
    not, have their modes. The cost is T x M. All steps mix, so that no causal form
    exists. `FourierBlock` is the form without attention.

    Weights, beside the projections': `kernel_real` and `kernel_imag` `(H, M, K, K)`.

    Args:
        num_heads: Integer. Number of heads. Defaults to `4`.
        key_dim: Integer. Width of each head. Defaults to `None`: the query's width
            divided by `num_heads`, rounded up.
        num_modes: Integer. Number of modes `M`; the paper takes 64. Defaults to `32`.
        mode_select: String, `"low"` or `"random"`. Defaults to `"random"`.
        seed: Integer of at least 0 that chooses the random modes. Defaults to `0`.
        use_bias: Boolean. Whether the projections have biases. Defaults to `True`.
        kernel_initializer: Initializer of the projections.
            Defaults to `"glorot_uniform"`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`. Defaults to `query`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.
        mask: Boolean tensor of shape `(B, Tq)`, the same as `query_mask` under the
            name by which Keras fills it in for a layer called on one tensor.

    Returns:
        Output of shape `(B, Tq, Dq)`, and with `return_attention_scores=True` the
        weights of shape `(B, H, M, M)`, between the modes in the order of their
        frequencies.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    future = np.random.normal(size=(2, 7, 8)).astype("float32")
    past = np.random.normal(size=(2, 24, 8)).astype("float32")
    output = layers.FourierAttention(num_heads=2, num_modes=3)(future, past)
    assert output.shape == (2, 7, 8)
    ```

    References:
        - Zhou et al. 2022, https://arxiv.org/abs/2201.12740
    """

    weights_are: str | None = "frequencies"

    def __init__(
        self,
        num_heads=4,
        key_dim=None,
        num_modes=32,
        mode_select="random",
        seed=0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(num_heads, key_dim, use_bias, kernel_initializer, **kwargs)
        check_modes(type(self).__name__, num_modes, mode_select, seed)
        self.num_modes = num_modes
        self.mode_select = mode_select
        self.seed = seed
        self._places = draw_places(num_modes, mode_select, seed)

    def build(self, query_shape, value_shape=None, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self._add_kernel(self._head_width(query_shape))

    def _add_kernel(self, width):
        """Creates the complex matrices of the modes, `(H, M, K, K)`."""
        shape = (self.num_heads, self.num_modes, width, width)
        normal = keras.initializers.RandomNormal(stddev=(2 * width) ** -0.5)
        self.kernel_real = self.add_weight(
            name="kernel_real", shape=shape, initializer=normal
        )
        self.kernel_imag = self.add_weight(
            name="kernel_imag", shape=shape, initializer=normal.clone()
        )

    def _kernel(self, dtype):
        return ops.cast(self.kernel_real, dtype), ops.cast(self.kernel_imag, dtype)

    def _attend_heads(self, query, key, value, mask, training, need_weights):
        query, key, value = map(widen, (query, key, value))
        rows, length = ops.shape(query)[2], ops.shape(key)[2]
        asking = Modes(rows, mask.query_mask, self.num_modes, self._places)
        asked = asking
        masked = mask.query_mask is not None or mask.key_mask is not None
        if masked or not isinstance(rows, int) or rows != length:
            asked = Modes(length, mask.key_mask, self.num_modes, self._places)
        scores = mode_scores(asking.transform(query), asked.transform(key))
        visible = ops.logical_and(
            ops.expand_dims(asking.used, (1, 3)), ops.expand_dims(asked.used, (1, 2))
        )
        for side in (mask.query_mask, mask.key_mask):
            if side is not None:
                anything = ops.any(side, axis=1)
                visible = ops.logical_and(visible, ops.reshape(anything, (-1, 1, 1, 1)))
        weights = masked_softmax(scores, visible)
        modes = [ops.matmul(weights, part) for part in asked.transform(value)]
        return asking.invert(mix_modes(modes, self._kernel(query.dtype))), weights

    def compute_scores_shape(self, query_shape, value_shape):
        return (query_shape[0], self.num_heads, self.num_modes, self.num_modes)

    def get_config(self):
        config = {
            "num_modes": self.num_modes,
            "mode_select": self.mode_select,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
