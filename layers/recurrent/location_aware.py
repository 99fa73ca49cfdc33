"""Location-aware attention: where the last query looked tells where to look next."""

import keras
from keras import ops

from attention_zoo.layers.core.parts import serialize_part
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.recurrent.stepwise import StepwiseAttention, check_not_random


@keras.saving.register_keras_serializable("attention_zoo")
class LocationAwareAttention(StepwiseAttention):
    """Additive attention that also reads the weights of the query before.

    1. Location features `f_i = F * a_{i-1}`: the last weights convolved over positions
       with `filters` filters of width `kernel_size`, shape `(B, Tv, filters)`.
    2. Scores `v' tanh(W q_i + V k_j + U f_ij + b)`.
    3. Weights `a_i`: the normalizer over the keys, shape `(B, Tq, Tv)`.
    4. Output: the weighted sum of the values, shape `(B, Tq, Dv)`.

    The state (see `StepwiseAttention`) is the last query's weights; before the first
    query, all weight is on the first key that is not padding, which the paper leaves
    open. Weights beside those of the additive score: `location_filters`
    `(kernel_size, 1, filters)` is F, `location_kernel` `(filters, units)` is U. The
    paper's windowing, sharpening and smoothing are not here; a `normalizer` may be.

    Args:
        units: Integer. Width of the hidden layer.
        filters: Integer. Number of filters. Defaults to `10`.
        kernel_size: Integer. Width of a filter, in positions. Defaults to `31`.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"` or `"top_k"`: random
            ops are not supported inside the loop. Defaults to `"softmax"`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights; the
            state keeps what was dropped. Defaults to `0.0`.
        window: Integer or pair of integers `(left, right)`. Query `i` sees keys
            `i - left` to `i + right`. Defaults to `None`: all keys.
        seed: Integer. Seed of dropout. Defaults to `None`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`. Defaults to `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.
        state: Tensor of shape `(B, Tv)`, to go on from where earlier queries ended.
            Defaults to `initial_state`.

    Returns:
        Output of shape `(B, Tq, Dv)`, and with `return_attention_scores=True` the
        weights of shape `(B, Tq, Tv)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query, value = np.ones((2, 3, 5), "float32"), np.ones((2, 7, 11), "float32")
    layer = layers.LocationAwareAttention(units=13, filters=2, kernel_size=3)
    output, weights = layer(query, value, return_attention_scores=True)
    assert output.shape == (2, 3, 11) and weights.shape == (2, 3, 7)
    ```

    References:
        - Chorowski et al. 2015, https://arxiv.org/abs/1506.07503
    """

    def __init__(
        self,
        units,
        filters=10,
        kernel_size=31,
        normalizer="softmax",
        dropout=0.0,
        window=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(
            owner, units=units, filters=filters, kernel_size=kernel_size
        )
        self._set_parts("additive", normalizer, units, dropout, window, seed=seed)
        check_not_random(owner, self._normalizer)
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, query_shape, value_shape, key_shape=None):
        super().build(query_shape, value_shape, key_shape)
        self.location_filters = self.add_weight(
            name="location_filters", shape=(self.kernel_size, 1, self.filters)
        )
        self.location_kernel = self.add_weight(
            name="location_kernel", shape=(self.filters, self.units)
        )

    def initial_state(self, batch, length, mask=None):
        if mask is None:
            first = ops.expand_dims(ops.arange(length, dtype="int32") == 0, 0)
        else:
            present = ops.cast(mask, "int32")
            first = (ops.cumsum(present, axis=1) * present) == 1
        return ops.broadcast_to(ops.cast(first, "float32"), (batch, length))

    def _advance(self, row, keys, state, mask):
        features = ops.conv(
            ops.expand_dims(ops.cast(state, keys.dtype), -1),
            ops.cast(self.location_filters, keys.dtype),
            padding="same",
            data_format="channels_last",
        )  # (B, Tv, filters)
        kernel = ops.cast(self.location_kernel, keys.dtype)
        keys = keys + ops.einsum("btf,fu->btu", features, kernel)
        weights = self._weigh(row, keys, mask)
        return weights, weights

    def get_config(self):
        config = {
            "units": self.units,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "normalizer": serialize_part(self.normalizer),
            "dropout": self.dropout,
            "window": self.window,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}
