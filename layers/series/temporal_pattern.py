"""Temporal pattern attention: which features matter, judged by their past."""

import keras
from keras import ops

from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import check_positive_integer, check_rank
from attention_zoo.layers.series._shared import SeriesLayer, visible_first


def latest_states(inputs, mask, count):
    """Returns a row's last `count` visible steps, newest first, `(B, count, D)`.

    Zeros take the place of those that are not there.

    Args:
        inputs: Tensor `(B, T, D)`.
        mask: Boolean tensor `(B, T)` or None.
        count: Integer.
    """
    age = ops.expand_dims(ops.arange(count, dtype="int32"), 0)
    if mask is None:
        index = ops.shape(inputs)[1] - 1 - age  # (1, count)
        states = ops.take(inputs, ops.maximum(index[0], 0), axis=1)
    else:
        order, length = visible_first(mask)
        index = length - 1 - age  # (B, count)
        place = ops.take_along_axis(order, ops.maximum(index, 0), axis=1)
        states = ops.take_along_axis(inputs, ops.expand_dims(place, -1), axis=1)
    there = ops.expand_dims(index >= 0, -1)
    return ops.where(there, states, ops.zeros_like(states))


@keras.saving.register_keras_serializable("attention_zoo")
class TemporalPatternAttention(SeriesLayer):
    """Each feature of a series is weighed by the pattern of its past: one vector.

    `h` is the last step that is not padding, `w` the window, `k` the number of filters.

    1. Patterns: each feature's last `w` values before `h`, convolved with `k` filters
       as long as the window, shape `(B, D, k)`. The filters are aligned with the end of
       the series; what lies before its begin counts as 0.
    2. Weights `a_i = sigmoid(p_i' W_a h)`: a feature each, shape `(B, D)`. They do not
       sum to 1: several features may matter at once.
    3. Output `W_h h + W_v sum_i a_i p_i`, shape `(B, D)`.

    Weights: `filters` `(w, k)`, the newest step first; `score_kernel` `(k, D)`,
    `state_kernel` `(D, D)`, `context_kernel` `(k, D)`. The inputs are meant to be the
    states of a recurrent layer. A row of padding gives zeros.

    Args:
        window: Integer. Number `w` of earlier steps that are looked at.
        num_filters: Integer. Number `k` of filters. Defaults to `32`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of shape `(B, D)`, and with `return_attention_scores=True` the weights of
        shape `(B, D)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    states = np.random.normal(size=(2, 11, 5)).astype("float32")
    layer = layers.TemporalPatternAttention(window=7, num_filters=3)
    output, weights = layer(states, return_attention_scores=True)
    assert output.shape == (2, 5)
    assert weights.shape == (2, 5)  # one for each feature
    ```

    References:
        - Shih et al. 2019, https://arxiv.org/abs/1809.04206
    """

    weights_are = "features"

    def __init__(self, window, num_filters=32, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer(
            type(self).__name__, window=window, num_filters=num_filters
        )
        self.window = window
        self.num_filters = num_filters

    def build(self, input_shape):
        check_rank(type(self).__name__, 3, inputs=tuple(input_shape))
        width, count = input_shape[-1], self.num_filters
        self.filters = self.add_weight(name="filters", shape=(self.window, count))
        self.score_kernel = self.add_weight(name="score_kernel", shape=(count, width))
        self.state_kernel = self.add_weight(name="state_kernel", shape=(width, width))
        self.context_kernel = self.add_weight(
            name="context_kernel", shape=(count, width)
        )
        self.built = True

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        inputs, mask = self._mask_inputs(inputs, mask)
        states = latest_states(inputs, mask, self.window + 1)
        last, past = states[:, 0], states[:, 1:]
        patterns = ops.matmul(ops.swapaxes(past, 1, 2), self.filters)  # (B, D, k)
        wanted = ops.matmul(last, ops.transpose(self.score_kernel))  # (B, k)
        scores = ops.squeeze(ops.matmul(patterns, ops.expand_dims(wanted, -1)), -1)
        weights = ops.sigmoid(scores)
        if mask is not None:
            anything = ops.any(mask, axis=1, keepdims=True)
            weights = ops.where(anything, weights, ops.zeros_like(weights))
        context = ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), patterns), 1)
        output = ops.matmul(last, self.state_kernel)
        output = output + ops.matmul(context, self.context_kernel)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def compute_scores_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        config = {"window": self.window, "num_filters": self.num_filters}
        return {**super().get_config(), **config}
