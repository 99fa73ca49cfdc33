"""Auto-correlation: a series attends to itself at a few delays, found by FFT."""

import keras
from keras import ops

from attention_zoo.layers.core.entmax import LOWEST
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.validation import check_positive_number
from attention_zoo.layers.series._shared import (
    SeriesAttention,
    keep_steps,
    step_ranks,
    take_steps,
    visible_first,
)


def circular_correlation(a, b, length=None, mean_axis=None):
    """Returns `c(s) = sum_t a(t) b((t + s) mod L)` for `s` from 0, over the last axis.

    Args:
        a, b: Tensors `(..., T)` that broadcast, float32 or wider; zeros from `length`
            on.
        length: Integer tensor `(B, 1)`: each row's own period L. Defaults to `None`:
            T for all.
        mean_axis: Axis over which the correlations are averaged. Defaults to `None`.

    Returns:
        Tensor `(..., T)`, zeros from `length` on.
    """
    if 0 in tuple(a.shape):  # which not every Fourier transform takes
        return a + b if mean_axis is None else ops.mean(a + b, axis=mean_axis)
    size = ops.shape(a)[-1]
    period = size if length is None else 2 * size  # twice as long: nothing wraps
    real_a, imag_a = ops.rfft(a, fft_length=period)
    real_b, imag_b = ops.rfft(b, fft_length=period)
    real = real_a * real_b + imag_a * imag_b
    imag = real_a * imag_b - imag_a * real_b
    if mean_axis is not None:
        real, imag = ops.mean(real, axis=mean_axis), ops.mean(imag, axis=mean_axis)
    lags = ops.irfft((real, imag), fft_length=period)
    if length is None:
        return lags
    # Lags from 0 on, then those below 0. Around a row's own end lag s meets s - L.
    steps = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
    inside = steps < length  # (B, T)
    around = ops.where(inside, 2 * size + steps - length, 0)
    middle = tuple(range(1, len(lags.shape) - 1))
    around, inside = ops.expand_dims(around, middle), ops.expand_dims(inside, middle)
    wrapped = lags[..., :size] + ops.take_along_axis(lags, around, axis=-1)
    return ops.where(inside, wrapped, ops.zeros_like(wrapped))


def delay_weights(correlation, factor, length=None, any_key=None):
    """Returns the softmax over the `factor * ln(L)` best delays, 0 at the others.

    Args:
        correlation: Tensor `(B, H, T)`.
        factor: Float above 0.
        length: Integer tensor `(B, 1)` or None, as in `circular_correlation`.
        any_key: Boolean tensor `(B, 1)`, False where there is nothing to see, or None.

    Returns:
        Tensor `(B, H, T)`.
    """
    steps = ops.expand_dims(ops.arange(ops.shape(correlation)[-1], dtype="int32"), 0)
    if length is None:
        length = ops.sum(ops.ones_like(steps), axis=1, keepdims=True)
    visible = steps < length
    if any_key is not None:
        visible = ops.logical_and(visible, any_key)
    visible = ops.expand_dims(visible, 1)  # (B, 1, T)
    length = ops.maximum(length, 1)
    count = ops.floor(factor * ops.log(ops.cast(length, "float32")))
    count = ops.minimum(count, ops.cast(length, "float32"))
    count = ops.expand_dims(ops.maximum(ops.cast(count, "int32"), 1), 1)  # (B, 1, 1)
    best = ops.sort(ops.stop_gradient(ops.where(visible, -correlation, -LOWEST)))
    edge = -ops.take_along_axis(best, count - 1, axis=-1)  # (B, H, 1)
    chosen = ops.logical_and(visible, correlation >= edge)
    return masked_softmax(correlation, chosen)


def fit_length(x, size):
    """Returns heads `(B, H, T, K)` cut to `size` steps, or with zeros up to it."""
    if isinstance(size, int) and x.shape[2] == size:
        return x
    batch, heads, _, width = ops.shape(x)
    more = ops.zeros((batch, heads, size, width), dtype=x.dtype)
    return ops.concatenate([x, more], axis=2)[:, :, :size]


@keras.saving.register_keras_serializable("attention_zoo")
class AutoCorrelation(SeriesAttention):
    """A series attends to itself at the few delays where it most resembles itself.

    `L` is the number of the query's steps that are not padding.

    1. Projections to heads, `(B, H, T, K)`. Keys and values are cut to the query's
       length, or padded with zeros.
    2. Correlation at each delay, `R(s) = mean_c sum_t Q_c(t + s) K_c(t)`, times modulo
       L, by FFT in at least float32, shape `(B, H, Tq)`.
    3. Weights: softmax over the `k = floor(factor * ln(L))` largest, at least one;
       exactly 0 at all other delays, shape `(B, H, Tq)`.
    4. Time-delay aggregation, `sum_s w(s) V(t + s)`, by FFT too; the heads projected,
       `(B, Tq, Dq)`.

    Each head of each row chooses its own delays, in training as well, so that no row
    depends on its batch. The authors' code chooses one set for all heads, and in
    training for the whole batch. A delay looks ahead as far as back, so that no causal
    form exists. The cost is T log T. `query` and `key` have no bias, since what it adds
    is the same at all delays.

    Args:
        num_heads: Integer. Number of heads. Defaults to `4`.
        key_dim: Integer. Width of each head. Defaults to `None`: the query's width
            divided by `num_heads`, rounded up.
        factor: Float above 0. How many delays are kept, `factor * ln(L)`; the paper
            takes 1 to 3. Defaults to `1`.
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
        weights of shape `(B, H, Tq)`, a weight for each delay from 0 on.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    series = np.random.normal(size=(2, 24, 8)).astype("float32")
    output, weights = layers.AutoCorrelation(num_heads=2, factor=1)(
        series, return_attention_scores=True
    )
    assert output.shape == (2, 24, 8)
    assert weights.shape == (2, 2, 24)  # of the delays, 3 of them not 0
    ```

    References:
        - Wu et al. 2021, https://arxiv.org/abs/2106.13008
    """

    weights_are = "lags"
    unbiased = ("query", "key")

    def __init__(
        self,
        num_heads=4,
        key_dim=None,
        factor=1,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(num_heads, key_dim, use_bias, kernel_initializer, **kwargs)
        check_positive_number(type(self).__name__, factor=factor)
        self.factor = factor

    def _attend_heads(self, query, key, value, mask, training, need_weights):
        query, key, value = map(widen, (query, key, value))
        size = ops.shape(query)[2]
        length = any_key = None
        if mask.query_mask is not None:
            order, length = visible_first(mask.query_mask)
            query = take_steps(query, order)
        if mask.key_mask is not None:
            order, keys = visible_first(mask.key_mask)
            key = keep_steps(take_steps(key, order), keys)
            value = keep_steps(take_steps(value, order), keys)
            any_key = keys > 0
        query, key, value = (
            ops.swapaxes(keep_steps(fit_length(x, size), length), 2, 3)
            for x in (query, key, value)
        )  # (B, H, K, T)
        correlation = circular_correlation(key, query, length, mean_axis=2)
        weights = delay_weights(correlation, self.factor, length, any_key)
        output = circular_correlation(ops.expand_dims(weights, 2), value, length)
        output = ops.swapaxes(output, 2, 3)
        if mask.query_mask is not None:
            output = take_steps(output, step_ranks(mask.query_mask))
        return output, weights

    def compute_scores_shape(self, query_shape, value_shape):
        return (query_shape[0], self.num_heads, query_shape[1])

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
