"""De-stationary attention: scores regain the scale and trend that normalising took."""

import keras
from keras import ops

from attention_zoo.layers.core.inputs import broadcast_mask
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.scores import dot_scores
from attention_zoo.layers.core.validation import check_positive_integer, check_rank
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.series._shared import SeriesAttention, SeriesLayer

LARGEST_LOG = 10.0  # of tau either way, so that no outlier overflows a score


def mean_and_deviation(x, mask=None):
    """Returns mean and standard deviation over the visible steps, `(B, 1, D)` each.

    Args:
        x: Tensor `(B, T, D)` with zeros at padding, float32 or wider.
        mask: Boolean tensor `(B, T)` or None.
    """
    there = ops.ones_like(x[..., :1])
    if mask is not None:
        there = ops.cast(ops.expand_dims(mask, -1), x.dtype)
    count = ops.maximum(ops.sum(there, axis=1, keepdims=True), 1)
    mean = ops.sum(x * there, axis=1, keepdims=True) / count
    variance = ops.sum(ops.square((x - mean) * there), axis=1, keepdims=True) / count
    return mean, ops.sqrt(variance + 1e-5)


@keras.saving.register_keras_serializable("attention_zoo")
class DeStationaryFactors(SeriesLayer):
    """Scale `tau` and shift `delta` of the scores, learned from a series' statistics.

    With `mu` and `sigma` the mean and the standard deviation over the steps that are
    not padding, `(B, D)`, and `[;]` concatenation:

    1. `log tau = w' relu(W [sigma; mu] + b)`, kept within 10 either way, so that `tau`
       is positive, shape `(B, 1)`.
    2. `delta_j = v' relu(V [mu; x_j] + c)`, shape `(B, T)`.

    The paper's projectors mix all steps of a series and so need its length beforehand;
    these take any. `w` and `v` start at 0, so that attention starts as if there were no
    factors. The parts are called `tau_hidden`, `tau`, `delta_hidden` and `delta`.

    Args:
        hidden_units: Integer. Width of both hidden layers. Defaults to `64`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`, the series before it was normalised.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.

    Returns:
        `tau` of shape `(B, 1)` and `delta` of shape `(B, T)`, 0 at padding.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    series = np.random.normal(size=(2, 11, 5)).astype("float32")
    tau, delta = layers.DeStationaryFactors(hidden_units=3)(series)
    assert tau.shape == (2, 1)
    assert delta.shape == (2, 11)
    ```

    References:
        - Liu et al. 2022, https://arxiv.org/abs/2205.14415
    """

    family = None  # a part of DeStationaryAttention
    call_options = ()

    def __init__(self, hidden_units=64, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer(type(self).__name__, hidden_units=hidden_units)
        self.hidden_units = hidden_units

    def build(self, input_shape):
        input_shape = tuple(input_shape)
        check_rank(type(self).__name__, 3, inputs=input_shape)
        self._tau_hidden, self._tau_output = self._projector("tau", input_shape)
        self._delta_hidden, self._delta_output = self._projector("delta", input_shape)
        self.built = True

    def _projector(self, name, shape):
        """Returns the two dense layers of a factor, `(..., 2D)` to `(..., 1)`."""
        policy, units = self.dtype_policy, self.hidden_units
        hidden = keras.layers.Dense(
            units, activation="relu", name=f"{name}_hidden", dtype=policy
        )
        output = keras.layers.Dense(
            1, use_bias=False, kernel_initializer="zeros", name=name, dtype=policy
        )
        for part in (hidden, output):
            hand_on(self._weight_options, part)
        hidden.build((*shape[:-1], 2 * shape[-1]))
        output.build((*shape[:-1], units))
        return hidden, output

    def call(self, inputs, mask=None):
        inputs, mask = self._mask_inputs(inputs, mask)
        mean, deviation = (
            ops.cast(x, inputs.dtype) for x in mean_and_deviation(widen(inputs), mask)
        )
        of_series = ops.concatenate([deviation, mean], axis=-1)  # (B, 1, 2D)
        log_tau = ops.squeeze(self._tau_output(self._tau_hidden(of_series)), -1)
        tau = ops.exp(ops.clip(log_tau, -LARGEST_LOG, LARGEST_LOG))
        mean = ops.broadcast_to(mean, ops.shape(inputs))
        of_steps = ops.concatenate([mean, inputs], axis=-1)  # (B, T, 2D)
        delta = zero_padding(self._delta_output(self._delta_hidden(of_steps)), mask)
        return tau, ops.squeeze(delta, -1)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1), tuple(input_shape[:2])

    def get_config(self):
        return {**super().get_config(), "hidden_units": self.hidden_units}


@keras.saving.register_keras_serializable("attention_zoo")
class DeStationaryAttention(SeriesAttention):
    """Attention with scaled and shifted scores: `softmax((tau Q K' + delta) / r) V`.

    `r` is the root of the width K of a head. A forecaster that normalises each series
    no longer tells series apart that differ in level and spread; `tau`, one positive
    number a series, and `delta`, one a step of the key, give that back to the
    attention.

    1. Projections to heads, `(B, H, T, K)`.
    2. Weights `softmax((tau q . k_j + delta_j) / sqrt(K))`, shape `(B, H, Tq, Tv)`.
    3. The weighted sums of the values, the heads projected, `(B, Tq, Dq)`.

    There are two ways to the factors. In the paper's, one `DeStationaryFactors` reads
    the series before it is normalised, and all layers of the model take what it gives,
    as in the example below.

    A layer whose first call has neither learns its own, from the statistics of its
    value: a `DeStationaryFactors` that is its part `factors`.

    `key` has no bias, which the softmax would cancel.

    Args:
        num_heads: Integer. Number of heads. Defaults to `4`.
        key_dim: Integer. Width of each head. Defaults to `None`: the query's width
            divided by `num_heads`, rounded up.
        hidden_units: Integer. Width of the hidden layers of `factors`.
            Defaults to `64`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        seed: Integer. Seed of the dropout. Defaults to `None`.
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
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only. The
            `factors` look at the whole value all the same.
        mask: Boolean tensor of shape `(B, Tq)`, the same as `query_mask` under the
            name by which Keras fills it in for a layer called on one tensor.
        tau: Tensor of shape `(B, 1)`. Defaults to 1 beside a `delta`.
        delta: Tensor of shape `(B, Tv)`. Defaults to 0 beside a `tau`.

    Returns:
        Output of shape `(B, Tq, Dq)`, and with `return_attention_scores=True` the
        weights of shape `(B, H, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, if shapes or masks are incompatible, or
            if a call has no factors where the first call had them.

    Example:

    ```python
    series = np.random.normal(size=(2, 11, 8)).astype("float32")
    layer = layers.DeStationaryAttention(num_heads=2, hidden_units=3)
    assert layer(series).shape == (2, 11, 8)  # with factors of its own

    tau, delta = layers.DeStationaryFactors(hidden_units=3)(series)
    normalised = (series - series.mean(axis=1, keepdims=True)) / 3
    layer = layers.DeStationaryAttention(num_heads=2)
    assert layer(normalised, tau=tau, delta=delta).shape == (2, 11, 8)
    ```

    References:
        - Liu et al. 2022, https://arxiv.org/abs/2205.14415
    """

    call_options = ("attention_mask", "use_causal_mask", "return_attention_scores")
    unbiased = ("key",)

    def __init__(
        self,
        num_heads=4,
        key_dim=None,
        hidden_units=64,
        dropout=0.0,
        seed=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(num_heads, key_dim, use_bias, kernel_initializer, **kwargs)
        check_positive_integer(type(self).__name__, hidden_units=hidden_units)
        self.hidden_units = hidden_units
        self._set_dropout(dropout, seed)
        self._factors = None

    def build(
        self,
        query_shape,
        value_shape=None,
        key_shape=None,
        tau_shape=None,
        delta_shape=None,
    ):
        super().build(query_shape, value_shape, key_shape)
        if tau_shape is None and delta_shape is None:
            self._factors = DeStationaryFactors(
                self.hidden_units, name="factors", dtype=self.dtype_policy
            )
            self._factors.build(value_shape or query_shape)

    def _check_factors(self, query_shape, value_shape, tau, delta):
        """Raises `ValueError` unless the factors fit the shapes or can be learned."""
        owner = type(self).__name__
        if tau is None and delta is None and self.built and self._factors is None:
            raise ValueError(
                f"`{owner}` was first called with factors and learns none of its own. "
                "Expected `tau` or `delta`. Received: tau=None, delta=None"
            )
        sizes = (query_shape[0], 1), (query_shape[0], value_shape[1])
        names = ("tau", "delta")
        for name, factor, size in zip(names, (tau, delta), sizes, strict=True):
            if factor is None:
                continue
            fits = len(factor.shape) == 2 and all(
                None in (a, b) or a == b
                for a, b in zip(factor.shape, size, strict=True)
            )
            if not fits:
                raise ValueError(
                    f"`{owner}` expects `{name}` of shape {size}. "
                    f"Received: {name}.shape={tuple(factor.shape)}"
                )

    def _find_factors(self, value, mask, tau, delta):
        """Returns `tau` `(B, 1, 1, 1)` or 1 and `delta` `(B, 1, 1, Tv)` or 0."""
        if tau is None and delta is None:
            tau, delta = self._factors(value, mask=mask.key_mask)
        if tau is not None:
            tau = widen(ops.convert_to_tensor(tau))
            if mask.key_mask is not None:  # of a row of padding it may be anything
                anything = ops.any(mask.key_mask, axis=1, keepdims=True)
                tau = ops.where(anything, tau, ops.ones_like(tau))
            tau = ops.expand_dims(tau, (2, 3))
        if delta is not None:
            delta = widen(ops.convert_to_tensor(delta))
            if mask.key_mask is not None:
                delta = ops.where(mask.key_mask, delta, ops.zeros_like(delta))
            delta = ops.expand_dims(delta, (1, 2))
        return 1.0 if tau is None else tau, 0.0 if delta is None else delta

    def call(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
        mask=None,
        tau=None,
        delta=None,
    ):
        series = query if value is None else value
        self._check_factors(query.shape, series.shape, tau, delta)
        return self._run(
            (query, value, key),
            (mask if query_mask is None else query_mask, value_mask, key_mask),
            (attention_mask, use_causal_mask),
            return_attention_scores,
            training,
            tau=tau,
            delta=delta,
        )

    def _attend(self, query, value, key, mask, *args, tau, delta):
        mask.key_mask = broadcast_mask(mask.key_mask, value)
        factors = self._find_factors(value, mask, tau, delta)
        return super()._attend(query, value, key, mask, *args, factors=factors)

    def _attend_heads(self, query, key, value, mask, training, need_weights, factors):
        tau, delta = factors
        rows, length = ops.shape(query)[2], ops.shape(key)[2]
        scores = widen(dot_scores(query / query.shape[-1] ** 0.5, key))
        scores = tau * scores + delta / query.shape[-1] ** 0.5
        weights = masked_softmax(scores, mask.rows(rows, length))
        weights = self._drop(weights, training)
        return ops.matmul(ops.cast(weights, value.dtype), value), weights

    def compute_output_spec(
        self, query, value=None, key=None, *args, tau=None, delta=None, **kwargs
    ):
        series = query if value is None else value
        self._check_factors(query.shape, series.shape, tau, delta)
        return super().compute_output_spec(query, value, key, *args, **kwargs)

    def get_config(self):
        config = {
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
