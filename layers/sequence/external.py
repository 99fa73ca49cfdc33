"""External attention: two small learned memories in place of keys and values."""

import keras
from keras import ops

from attention_zoo.layers.core.attention_layer import SelfAttentionLayer
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import check_positive_integer, check_rank


def double_normalization(scores, mask=None):
    """Softmax over the positions of each memory slot, then a sum of 1 over the slots.

    Args:
        scores: Tensor `(B, T, S)`.
        mask: Boolean tensor `(B, T)` or None.

    Returns:
        Weights `(B, T, S)`; zeros where `mask` is False.
    """
    columns = ops.swapaxes(scores, 1, 2)  # (B, S, T)
    columns = masked_softmax(
        columns, None if mask is None else ops.expand_dims(mask, 1)
    )
    weights = ops.swapaxes(columns, 1, 2)
    total = ops.sum(weights, axis=-1, keepdims=True)
    # Divided by 1 and not by 0 where a position is padding.
    return weights / ops.where(total > 0, total, ops.ones_like(total))


@keras.saving.register_keras_serializable("attention_zoo")
class ExternalAttention(SelfAttentionLayer):
    """Attention to `S` learned slots, shared by all sequences, at cost linear in T.

    1. Scores `x . M_k'`, shape `(B, T, S)`.
    2. Weights: softmax over T, then a sum of 1 over S, shape `(B, T, S)`.
    3. Output: the weighted sum of the slots of `M_v`, shape `(B, T, D)`.

    Weights: `key_memory` `(S, D)`, `value_memory` `(S, D)`. The softmax runs over the
    whole sequence, so that no causal form exists. The paper's network has projections
    around this; they are `keras.layers.Dense` here.

    Args:
        num_slots: Integer. Number of slots `S`. Defaults to `64`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.

    Returns:
        Output of shape `(B, T, D)`, zeros at padding, and with
        `return_attention_scores=True` the weights of shape `(B, T, S)`.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    inputs = np.random.normal(size=(2, 7, 5)).astype("float32")
    layer = layers.ExternalAttention(num_slots=3)
    output, weights = layer(inputs, return_attention_scores=True)
    assert output.shape == (2, 7, 5)
    np.testing.assert_allclose(np.sum(weights, axis=-1), 1, atol=1e-5)
    ```

    References:
        - Guo et al. 2021, https://arxiv.org/abs/2105.02358
    """

    weights_are = "slots"
    call_options = ("return_attention_scores",)

    def __init__(self, num_slots=64, **kwargs):
        super().__init__(**kwargs)
        check_positive_integer(type(self).__name__, num_slots=num_slots)
        self.num_slots = num_slots

    def build(self, input_shape):
        check_rank(type(self).__name__, 3, inputs=tuple(input_shape))
        shape = (self.num_slots, input_shape[-1])
        self.key_memory = self.add_weight(name="key_memory", shape=shape)
        self.value_memory = self.add_weight(name="value_memory", shape=shape)
        self.built = True

    def call(self, inputs, mask=None, return_attention_scores=False):
        inputs, mask = self._mask_inputs(inputs, mask)
        scores = ops.matmul(inputs, ops.transpose(self.key_memory))
        weights = double_normalization(widen(scores), mask)
        weights = ops.cast(weights, scores.dtype)
        output = ops.matmul(weights, self.value_memory)
        record(self, weights)
        return (output, weights) if return_attention_scores else output

    def compute_scores_shape(self, input_shape):
        return (*input_shape[:-1], self.num_slots)

    def get_config(self):
        return {**super().get_config(), "num_slots": self.num_slots}
