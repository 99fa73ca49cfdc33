"""Gated attention pooling, for bags of instances."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_positive_integer, check_rank
from attention_zoo.layers.pooling.attention_pooling import WeightedPooling


def gated_scores(inputs, hidden_kernel, gate_kernel, scale):
    """Returns `w . (tanh(V h) * sigmoid(U h))`, `(B, T, D)` to `(B, T)`."""
    hidden = ops.tanh(ops.matmul(inputs, hidden_kernel))
    gate = ops.sigmoid(ops.matmul(inputs, gate_kernel))
    return ops.squeeze(ops.matmul(hidden * gate, ops.expand_dims(scale, -1)), -1)


@keras.saving.register_keras_serializable("attention_zoo", name="GatedAttention")
class GatedAttentionPooling(WeightedPooling):
    """Attention pooling with gated hidden units: `w . (tanh(V h) * sigmoid(U h))`.

    1. Scores `w . (tanh(V h_t) * sigmoid(U h_t))`, shape `(B, T)`.
    2. Weights: the normalizer over unpadded positions, shape `(B, T)`.
    3. Output: the weighted sum of the inputs, shape `(B, D)`.

    tanh is nearly linear around 0; the gate lets units be silent. Weights:
    `hidden_kernel` and `gate_kernel` `(D, units)`, `scale` `(units,)`. A row of padding
    gives zeros.

    Args:
        units: Integer. Number of hidden units. Defaults to `None`, which stands for the
            width of the inputs.
        normalizer: String or `Normalizer` layer. `"softmax"`, `"sigmoid"`,
            `"sparsemax"`, `"entmax15"`, `"entmax"`, `"hardmax"`, `"gumbel_softmax"` or
            `"top_k"`. Defaults to `"softmax"`.
        dropout: Float in [0, 1). Dropout rate applied to the attention weights.
            Defaults to `0.0`.
        seed: Integer. Seed of the dropout. Defaults to `None`.

    Call arguments:
        inputs: Tensor of shape `(B, T, D)`.
        mask: Boolean tensor of shape `(B, T)`; Keras fills it in.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Whether dropout is applied.

    Returns:
        Output of shape `(B, D)`, and with `return_attention_scores=True` the weights of
        shape `(B, T)`, dropout included.

    Raises:
        ValueError: If an argument is invalid, or if shapes or masks are incompatible.

    Example:

    ```python
    bag = np.random.rand(2, 5, 4)  # two bags of up to five instances
    mask = np.array([[True, True, True, False, False], [True] * 5])
    pooling = layers.GatedAttentionPooling(units=8)
    output, weights = pooling(bag, mask=mask, return_attention_scores=True)
    assert output.shape == (2, 4)
    assert not np.any(weights[0, 3:])
    ```

    References:
        - Ilse et al. 2018, https://arxiv.org/abs/1802.04712
    """

    def __init__(
        self, units=None, normalizer="softmax", dropout=0.0, seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        if units is not None:
            check_positive_integer(type(self).__name__, units=units)
        self.units = units
        self._set_normalizer(normalizer, dropout, seed)

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
        return {**super().get_config(), "units": self.units}
