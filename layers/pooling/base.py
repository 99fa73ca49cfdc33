"""What the poolings share: one vector for a sequence, and no mask left."""

import keras

from attention_zoo.layers.core.attention_layer import AttentionLayer
from attention_zoo.layers.core.inputs import broadcast_mask, cast_integers
from attention_zoo.layers.core.masks import zero_padding
from attention_zoo.layers.core.validation import check_mask, check_rank


class PoolingLayer(AttentionLayer):
    """Base of the layers `layer(inputs)` that sum up a sequence.

    A subclass overrides `call`, `compute_output_shape`, and `compute_scores_shape`
    where its weights are not of the shape of the inputs without their channels.
    """

    family: str | None = "pooling"
    weights_are: str | None = "positions"
    call_inputs: tuple[str, ...] = ("inputs",)
    call_masks: tuple[str, ...] = ("mask",)
    call_options: tuple[str, ...] = ("return_attention_scores",)
    needs_value = False
    input_rank = 3

    def _mask_inputs(self, inputs, mask):
        """Returns floats with zeros at padding, and their boolean mask or None."""
        owner = type(self).__name__
        check_rank(owner, self.input_rank, inputs=inputs.shape)
        mask = check_mask(owner, "mask", mask, tuple(inputs.shape[:-1]))
        mask = broadcast_mask(mask, inputs)
        return zero_padding(cast_integers(inputs, self.compute_dtype), mask), mask

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_scores_shape(self, input_shape):
        """Returns the shape of the attention weights."""
        return tuple(input_shape[:-1])

    def compute_output_spec(
        self, inputs, mask=None, return_attention_scores=False, training=None
    ):
        check_rank(type(self).__name__, self.input_rank, inputs=inputs.shape)
        shape = self.compute_output_shape(inputs.shape)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        shape = self.compute_scores_shape(inputs.shape)
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)
