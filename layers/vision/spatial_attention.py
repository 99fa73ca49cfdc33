"""The spatial attention of CBAM."""

import keras
from keras import ops

from attention_zoo.layers.core.inputs import max_or_zeros
from attention_zoo.layers.vision._base import SpatialGate
from attention_zoo.layers.vision._shared import check_odd, convolution


def describe_positions(x):
    """Returns mean and maximum over channels, `(B, ..., C)` to `(B, ..., 2)`."""
    mean = ops.mean(x, axis=-1, keepdims=True)
    return ops.concatenate([mean, max_or_zeros(x, -1, keepdims=True)], axis=-1)


@keras.saving.register_keras_serializable("attention_zoo")
class SpatialAttention(SpatialGate):
    """Spatial gate from the channels' mean and maximum at each position.

    1. `d`, mean and maximum over the channels, in this order, shape `(B, H, W, 2)`.
    2. Gate: `sigmoid(conv(d))`, shape `(B, H, W)`; `conv/kernel` is
       `(kernel_size, kernel_size, 2, 1)`, zeros around the map.
    3. Output: each position times its gate, the inputs' shape.

    The paper's formula has no bias and no batch normalisation; the authors' code has
    the latter behind the convolution.

    Cost at 64 channels on a 32 x 32 map: 98 parameters, 200,704 FLOPs.

    Args:
        kernel_size: Odd integer. Reach of the convolution along each axis. Defaults to
            `7`.
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
        of shape `(B, H, W)`, `(B, T)` or `(B, D, H, W)`.

    Raises:
        ValueError: If the inputs have another rank, or if `kernel_size` is even.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.SpatialAttention(kernel_size=3)
    output, gate = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 7, 5)
    ```

    References:
        - Woo et al. 2018, https://arxiv.org/abs/1807.06521
    """

    def __init__(
        self, kernel_size=7, gate_activation="sigmoid", data_format=None, **kwargs
    ):
        super().__init__(data_format=data_format, **kwargs)
        check_odd(type(self).__name__, kernel_size=kernel_size)
        self.kernel_size = kernel_size
        self.gate_activation = keras.activations.get(gate_activation)

    def build_maps(self, shape):
        self._conv = convolution(
            len(shape) - 2,
            1,
            self.kernel_size,
            self.dtype_policy,
            use_bias=False,
            name="conv",
        )
        self._conv.build((*shape[:-1], 2))

    def calculate_gate(self, x):
        return self.gate_activation(self._conv(describe_positions(x))[..., 0])

    def get_config(self):
        config = {
            "kernel_size": self.kernel_size,
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}
