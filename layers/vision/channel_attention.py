"""The channel attention of CBAM."""

import keras

from attention_zoo.layers.vision._shared import global_average, global_max
from attention_zoo.layers.vision.squeeze_excite import SqueezeExcite


@keras.saving.register_keras_serializable("attention_zoo")
class ChannelAttention(SqueezeExcite):
    """Channel gate from the channels' means and maxima, through one shared bottleneck.

    1. `a`, the mean, and `m`, the maximum of each channel, shapes `(B, C)`.
    2. Gate: `sigmoid(MLP(a) + MLP(m))` with `MLP(z) = W2 relu(W1 z)`, shape `(B, C)`;
       `reduce/kernel` is W1 `(C, C / ratio)`, `expand/kernel` is W2 `(C / ratio, C)`.
    3. Output: each channel times its gate, the inputs' shape.

    Cost at 64 channels on a 32 x 32 map: 512 parameters, 2,048 FLOPs.

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
    output, gate = layers.ChannelAttention(ratio=2)(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 8)
    ```

    References:
        - Woo et al. 2018, https://arxiv.org/abs/1807.06521
    """

    def calculate_gate(self, x):
        mean = self._expand(self._reduce(global_average(x)))
        maximum = self._expand(self._reduce(global_max(x)))
        return self.gate_activation(mean + maximum)
