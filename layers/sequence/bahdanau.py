"""Bahdanau attention."""

import keras

from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.sequence.attention import Attention


@keras.saving.register_keras_serializable("attention_zoo")
class BahdanauAttention(Attention):
    """Additive attention, the first one: `s(q, k) = v' tanh(W1 q + W2 k + b)`.

    The query is a decoder's previous state, the value an encoder's states. Weights:
    `query_kernel` `(Dq, units)`, `key_kernel` `(Dk, units)`, `bias` `(units,)`, `scale`
    `(units,)`. `keras.layers.AdditiveAttention` is the same without W1, W2 and b.

    Args:
        units: Width of the hidden layer, a positive integer.
        normalizer, dropout, window, block_size, seed: As in `Attention`.

    Call arguments and Returns: As in `Attention`.

    Reference: Bahdanau et al. 2014, https://arxiv.org/abs/1409.0473
    """

    def __init__(self, units, normalizer="softmax", **kwargs):
        check_positive_integer(type(self).__name__, units=units)
        super().__init__(score="additive", normalizer=normalizer, units=units, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["score"]
        return config
