"""Gated attention pooling, for bags of instances."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_positive_integer, check_rank
from attention_zoo.layers.pooling.attention_pooling import AttentionPooling


def gated_scores(inputs, hidden_kernel, gate_kernel, scale):
    """Returns `w . (tanh(V h) * sigmoid(U h))`, `(B, T, D)` to `(B, T)`."""
    hidden = ops.tanh(ops.matmul(inputs, hidden_kernel))
    gate = ops.sigmoid(ops.matmul(inputs, gate_kernel))
    return ops.squeeze(ops.matmul(hidden * gate, ops.expand_dims(scale, -1)), -1)


@keras.saving.register_keras_serializable("attention_zoo", name="GatedAttention")
class GatedAttentionPooling(AttentionPooling):
    """Attention pooling whose hidden units are gated: `w . (tanh(V h) * sigmoid(U h))`.

    tanh is nearly linear around 0; the gate lets units be silent. Weights:
    `hidden_kernel` and `gate_kernel` `(D, units)`, `scale` `(units,)`. Steps, call
    arguments and output are those of `AttentionPooling`.

    Args:
        units: Number of hidden units. Defaults to `None`: the width of the inputs.
        normalizer, dropout, seed: As in `AttentionPooling`.

    Reference: Ilse et al. 2018, https://arxiv.org/abs/1802.04712
    """

    def __init__(self, units=None, normalizer="softmax", **kwargs):
        if units is not None:
            check_positive_integer(type(self).__name__, units=units)
        super().__init__(score=None, normalizer=normalizer, **kwargs)
        self.units = units

    def build(self, input_shape):
        check_rank(type(self).__name__, 3, inputs=tuple(input_shape))
        width = input_shape[-1]
        shape = (width, self.units or width)
        self.hidden_kernel = self.add_weight(name="hidden_kernel", shape=shape)
        self.gate_kernel = self.add_weight(name="gate_kernel", shape=shape)
        self.scale = self.add_weight(
            name="scale", shape=shape[1:], initializer="glorot_uniform"
        )
        super().build(input_shape)

    def _calculate_scores(self, inputs):
        scores = gated_scores(inputs, self.hidden_kernel, self.gate_kernel, self.scale)
        return ops.expand_dims(scores, 1)

    def get_config(self):
        config = super().get_config()
        del config["score"]
        return config
