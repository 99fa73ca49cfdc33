"""Coordinate attention."""

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.vision._base import MapGate
from attention_zoo.layers.vision._shared import axis_means


@keras.saving.register_keras_serializable("attention_zoo")
class CoordinateAttention(MapGate):
    """A gate for each channel and row times one for each channel and column.

    1. Means over each row, `(B, H, C)`, and over each column, `(B, W, C)`, joined:
       `(B, H + W, C)`.
    2. Both through one 1 x 1 convolution, `reduce`, to `max(min_width, C / ratio)`
       channels, batch normalisation and `activation`, then split again.
    3. Gates: the sigmoid of a 1 x 1 convolution each, `expand_0` and `expand_1`.
    4. Output: `x_hwc gate_hc gate_wc`, the inputs' shape.

    A video has three such gates; a sequence has one, its own position's. `reduce` has
    no bias, which the normalisation would cancel.

    Cost at 64 channels on a 32 x 32 map: 1,680 parameters, 131,072 FLOPs.

    Args:
        ratio: Integer. How many times narrower the hidden layer is, rounded up.
            Defaults to `32`.
        min_width: Integer. Least width of the hidden layer. Defaults to `8`.
        activation: String or function. Activation of the hidden layer. Defaults to
            `"hard_silu"`, the paper's h-swish.
        gate_activation: String or function. Activation of the gates. Defaults to
            `"sigmoid"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the gate is returned too.
        training: Boolean. Whether batch normalisation takes the batch's statistics.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the product
        of the gates, of the same shape, channels last.

    Raises:
        ValueError: If the inputs have another rank.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.CoordinateAttention(min_width=3)
    output, gate = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 7, 5, 8)
    ```

    References:
        - Hou et al. 2021, https://arxiv.org/abs/2103.02907
    """

    family = "hybrid"

    def __init__(
        self,
        ratio=32,
        min_width=8,
        activation="hard_silu",
        gate_activation="sigmoid",
        data_format=None,
        **kwargs,
    ):
        super().__init__(data_format=data_format, **kwargs)
        check_positive_integer(type(self).__name__, ratio=ratio, min_width=min_width)
        self.ratio = ratio
        self.min_width = min_width
        self.activation = keras.activations.get(activation)
        self.gate_activation = keras.activations.get(gate_activation)

    def build_maps(self, shape):
        channels, policy = shape[-1], self.dtype_policy
        hidden = max(self.min_width, -(-channels // self.ratio))
        self._reduce = keras.layers.Dense(
            hidden, use_bias=False, dtype=policy, name="reduce"
        )
        self._norm = keras.layers.BatchNormalization(dtype=policy, name="norm")
        self._reduce.build((shape[0], None, channels))
        self._norm.build((shape[0], None, hidden))
        self._expands = []
        for i in range(len(shape) - 2):
            expand = keras.layers.Dense(channels, dtype=policy, name=f"expand_{i}")
            hand_on(self._weight_options, expand)
            expand.build((shape[0], None, hidden))
            self._expands.append(expand)

    def calculate_gate(self, x):
        means = axis_means(x)
        hidden = self._reduce(ops.concatenate([mean for mean, _ in means], axis=1))
        hidden = self.activation(self._norm(hidden))
        gate, start = 1.0, 0
        for (mean, others), expand in zip(means, self._expands, strict=True):
            size = ops.shape(mean)[1]
            part = ops.expand_dims(expand(hidden[:, start : start + size]), others)
            gate, start = gate * self.gate_activation(part), start + size
        return gate

    def get_config(self):
        config = {
            "ratio": self.ratio,
            "min_width": self.min_width,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}
