"""Squeeze and excite."""

import keras

from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import ChannelGate
from attention_zoo.layers.vision._shared import global_average, reduced_channels


@keras.saving.register_keras_serializable("attention_zoo")
class SqueezeExcite(ChannelGate):
    """Channel gate from the channels' means, through a bottleneck of two dense layers.

    1. Squeeze: `z`, the mean of each channel, shape `(B, C)`.
    2. Excite: `s = sigmoid(W2 relu(W1 z))`, shape `(B, C)`; `reduce/kernel` is W1
       `(C, C / ratio)`, `expand/kernel` is W2 `(C / ratio, C)`.
    3. Output: each channel times its gate, the inputs' shape.

    Cost at 64 channels on a 32 x 32 map: 512 parameters, 1,024 FLOPs.

    Args:
        ratio: Integer. How many times narrower the hidden layer is, rounded up to whole
            channels. Defaults to `16`.
        activation: String or function. Activation of the hidden layer. Defaults to
            `"relu"`.
        gate_activation: String or function. Activation of the gate. Defaults to
            `"sigmoid"`.
        use_bias: Boolean. Whether the dense layers have biases; the paper's formula has
            none. Defaults to `False`.
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
        ValueError: If the inputs have another rank, or if they have fewer channels than
            `ratio`.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    output, gate = layers.SqueezeExcite(ratio=2)(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 8)
    ```

    References:
        - Hu et al. 2018, https://arxiv.org/abs/1709.01507
    """

    def __init__(
        self,
        ratio=16,
        activation="relu",
        gate_activation="sigmoid",
        use_bias=False,
        data_format=None,
        **kwargs,
    ):
        super().__init__(data_format=data_format, **kwargs)
        check_positive_integer(type(self).__name__, ratio=ratio)
        self.ratio = ratio
        self.activation = keras.activations.get(activation)
        self.gate_activation = keras.activations.get(gate_activation)
        self.use_bias = use_bias

    def build_maps(self, shape):
        channels = shape[-1]
        hidden = reduced_channels(type(self).__name__, channels, self.ratio)
        self._reduce = keras.layers.Dense(
            hidden,
            activation=self.activation,
            use_bias=self.use_bias,
            dtype=self.dtype_policy,
            name="reduce",
        )
        self._expand = keras.layers.Dense(
            channels, use_bias=self.use_bias, dtype=self.dtype_policy, name="expand"
        )
        self._reduce.build((shape[0], channels))
        self._expand.build((shape[0], hidden))

    def calculate_gate(self, x):
        return self.gate_activation(self._expand(self._reduce(global_average(x))))

    def get_config(self):
        config = {
            "ratio": self.ratio,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": keras.activations.serialize(self.gate_activation),
            "use_bias": self.use_bias,
        }
        return {**super().get_config(), **config}
