"""Pixel attention."""

import keras

from attention_zoo.layers.vision._base import MapGate


@keras.saving.register_keras_serializable("attention_zoo")
class PixelAttention(MapGate):
    """An element-wise gate, from the channels of its own position.

    1. Gate: `sigmoid(W x + b)` at each position, shape `(B, H, W, C)`; `conv` holds W
       `(C, C)`, a 1 x 1 convolution, and b.
    2. Output: the inputs times the gate, the inputs' shape.

    Cost at 64 channels on a 32 x 32 map: 4,160 parameters, 8,388,608 FLOPs.

    Args:
        gate_activation: String or function. Activation of the gate. Defaults to
            `"sigmoid"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the gate is returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the gate
        of the same shape, channels last.

    Raises:
        ValueError: If the inputs have another rank.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    output, gate = layers.PixelAttention()(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 7, 5, 8)
    ```

    References:
        - Zhao et al. 2020, https://arxiv.org/abs/2010.01073
    """

    family = "spatial"

    def __init__(self, gate_activation="sigmoid", data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        self.gate_activation = keras.activations.get(gate_activation)

    def build_maps(self, shape):
        self._conv = keras.layers.Dense(shape[-1], dtype=self.dtype_policy, name="conv")
        self._conv.build(shape)

    def calculate_gate(self, x):
        return self.gate_activation(self._conv(x))

    def get_config(self):
        config = {"gate_activation": keras.activations.serialize(self.gate_activation)}
        return {**super().get_config(), **config}
