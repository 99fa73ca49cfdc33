"""Location-aware attention: where the last query looked tells where to look next."""

import keras
from keras import ops

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
        units: Width of the hidden layer, a positive integer.
        filters: Number of filters. Defaults to `10`.
        kernel_size: Width of a filter, in positions. Defaults to `31`.
        normalizer: As in `Attention`, but `"gumbel_softmax"`. Defaults to `"softmax"`.
        dropout, seed: As in `Attention`; what is dropped still counts as looked at.

    Call arguments and Returns: As in `StepwiseAttention`.

    Reference: Chorowski et al. 2015, https://arxiv.org/abs/1506.07503
    """

    def __init__(
        self,
        units,
        filters=10,
        kernel_size=31,
        normalizer="softmax",
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        owner = type(self).__name__
        check_positive_integer(
            owner, units=units, filters=filters, kernel_size=kernel_size
        )
        super().__init__(
            score="additive",
            normalizer=normalizer,
            units=units,
            dropout=dropout,
            seed=seed,
            **kwargs,
        )
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
        keys = keys + ops.matmul(features, ops.cast(self.location_kernel, keys.dtype))
        weights = self._weigh(row, keys, mask)
        return weights, weights

    def get_config(self):
        config = super().get_config()
        del config["score"]
        config["filters"] = self.filters
        config["kernel_size"] = self.kernel_size
        return config
