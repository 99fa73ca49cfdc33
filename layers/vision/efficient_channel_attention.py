"""Efficient channel attention."""

import math

import keras
from keras import ops

from attention_zoo.layers.vision._base import ChannelGate
from attention_zoo.layers.vision._shared import check_odd, global_average


def adaptive_kernel_size(channels, gamma=2, offset=1):
    """Returns `|(log2(channels) + offset) / gamma|`, cut to an integer and made odd."""
    size = int(abs((math.log2(channels) + offset) / gamma))
    return size if size % 2 else size + 1


@keras.saving.register_keras_serializable("attention_zoo")
class EfficientChannelAttention(ChannelGate):
    """Channel gate from the means of neighbouring channels, by one small convolution.

    1. `z`, the mean of each channel, shape `(B, C)`.
    2. Gate: `sigmoid(z * k)`, a convolution along the channels, zeros beyond the ends,
       shape `(B, C)`; `kernel` is k `(kernel_size, 1, 1)`.
    3. Output: each channel times its gate, the inputs' shape.

    Cost at 64 channels on a 32 x 32 map: 3 parameters, 384 FLOPs.

    Args:
        kernel_size: Odd integer. Number of channels that a gate looks at. Defaults to
            `None`: the paper's `|(log2(C) + 1) / 2|`, made odd, which is 3 for 64
            channels and 5 for 128.
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
        of shape `(B, C)`.

    Raises:
        ValueError: If the inputs have another rank, or if `kernel_size` is even.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.EfficientChannelAttention(kernel_size=3)
    output, gate = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 8)
    ```

    References:
        - Wang et al. 2020, https://arxiv.org/abs/1910.03151
    """

    def __init__(
        self, kernel_size=None, gate_activation="sigmoid", data_format=None, **kwargs
    ):
        super().__init__(data_format=data_format, **kwargs)
        if kernel_size is not None:
            check_odd(type(self).__name__, kernel_size=kernel_size)
        self.kernel_size = kernel_size
        self.gate_activation = keras.activations.get(gate_activation)

    def build_maps(self, shape):
        size = self.kernel_size or adaptive_kernel_size(shape[-1])
        self.kernel = self.add_weight(name="kernel", shape=(size, 1, 1))

    def calculate_gate(self, x):
        row = ops.expand_dims(global_average(x), -1)  # (B, C, 1)
        kernel = ops.cast(self.kernel, row.dtype)
        row = ops.conv(row, kernel, padding="same", data_format="channels_last")
        return self.gate_activation(ops.squeeze(row, -1))

    def get_config(self):
        config = {
            "kernel_size": self.kernel_size,
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}
