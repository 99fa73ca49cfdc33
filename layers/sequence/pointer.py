"""Pointer attention: the weights are the output."""

import keras
from keras import ops

from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.query_value import QueryValueAttention
from attention_zoo.layers.core.scores import get_score
from attention_zoo.layers.core.validation import (
    check_attention_shapes,
    check_positive_integer,
)


@keras.saving.register_keras_serializable("attention_zoo")
class PointerAttention(QueryValueAttention):
    """Each query points to positions of the value: its output is the distribution.

    1. Scores: `v . tanh(W1 k_j + W2 q_i + b)`, shape `(B, Tq, Tv)`.
    2. Output: softmax over the visible positions, shape `(B, Tq, Tv)`.

    The output is as wide as the value is long, so that a network can choose among its
    inputs, however many there are: sorting, tours, spans of text. Train it with a
    cross-entropy against the position, `from_logits=False`. Weights: those of
    `AdditiveScore` under `score`.

    Args:
        units: Integer. Width of the hidden layer. Defaults to `64`.

    Call arguments:
        query: Tensor of shape `(B, Tq, Dq)`.
        value: Tensor of shape `(B, Tv, Dv)`.
        key: Tensor of shape `(B, Tv, Dk)`, compared in place of `value`. Defaults to
            `value`.
        query_mask: Boolean tensor of shape `(B, Tq)`; Keras fills it in.
        value_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        key_mask: Boolean tensor of shape `(B, Tv)`; Keras fills it in.
        attention_mask: Boolean tensor of shape `(B, Tq, Tv)`, such as the positions
            that have not been chosen yet.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.
        use_causal_mask: Boolean. Whether query `i` sees keys up to `i` only.

    Returns:
        Output of shape `(B, Tq, Tv)`; rows sum to 1, or are 0 where nothing is visible.
        With `return_attention_scores=True` the same twice.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    query = np.random.normal(size=(2, 3, 4)).astype("float32")
    value = np.random.normal(size=(2, 7, 5)).astype("float32")
    output = layers.PointerAttention(units=11)(query, value)
    assert output.shape == (2, 3, 7)
    np.testing.assert_allclose(np.sum(output, axis=-1), 1, atol=1e-5)
    ```

    References:
        - Vinyals et al. 2015, https://arxiv.org/abs/1506.03134
    """

    family = "matching"

    def __init__(self, units=64, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, units=units)
        self.units = units
        self._score = get_score("additive", units, owner, self.dtype_policy)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = value_shape if key_shape is None else key_shape
        shapes = tuple(query_shape), tuple(value_shape), tuple(key_shape)
        check_attention_shapes(type(self).__name__, *shapes)
        self._score.build(shapes[0], shapes[2])
        self.built = True

    def _attend(self, query, value, key, mask, training, need_weights):
        scores = widen(self._score(query, key))
        visible = mask.rows(ops.shape(query)[1], ops.shape(key)[1])
        weights = masked_softmax(scores, visible)
        weights = zero_padding(weights, mask.query_mask)
        weights = ops.cast(weights, self.compute_dtype)
        return weights, weights

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        return (query_shape[0], query_shape[1], value_shape[1])

    def get_config(self):
        return {**super().get_config(), "units": self.units}
