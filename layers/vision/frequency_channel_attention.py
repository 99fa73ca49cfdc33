"""Frequency channel attention."""

import math

import keras
import numpy as np
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision.squeeze_excite import SqueezeExcite

# Half waves down and across a map, the most useful first: the order in which the
# authors' code ranks the components of 7 x 7 maps.
TOP_FREQUENCIES = (
    ((0, 0), (0, 1), (6, 0), (0, 5), (0, 2), (1, 0), (1, 2), (4, 0))
    + ((5, 0), (1, 6), (3, 0), (0, 4), (0, 6), (0, 3), (3, 5), (2, 2))
    + ((4, 6), (6, 3), (3, 3), (5, 3), (5, 5), (2, 1), (6, 1), (5, 2))
    + ((5, 4), (3, 2), (3, 1), (4, 1), (2, 0), (2, 3), (6, 5), (1, 3))
)


def cosine_basis(size, frequencies):
    """Returns the orthonormal DCT-II vectors of `frequencies` `(C,)`: `(size, C)`."""
    step = ops.cast(ops.arange(size), "float32") + 0.5  # (size,)
    length = ops.cast(size, "float32")
    waves = ops.cos(math.pi * ops.expand_dims(step / length, -1) * frequencies)
    return waves * ops.where(frequencies > 0, math.sqrt(2), 1.0) / ops.sqrt(length)


@keras.saving.register_keras_serializable("attention_zoo")
class FrequencyChannelAttention(SqueezeExcite):
    """Squeeze and excite where each group of channels is squeezed by its own frequency.

    1. Squeeze: `z_c = sum_hw x_hwc cos(pi u (h + 1/2) / H) cos(pi v (w + 1/2) / W)`,
       shape `(B, C)`, in orthonormal scale; the channels are cut into
       `num_frequencies` groups of one size (the first ones a channel larger where that
       does not divide), and the g-th has the g-th most useful pair `(u, v)`.
    2. Excite: `s = sigmoid(W2 relu(W1 z))`, shape `(B, C)`; `reduce/kernel` is W1
       `(C, C / ratio)`, `expand/kernel` is W2 `(C / ratio, C)`.
    3. Output: each channel times its gate, the inputs' shape.

    The pair `(0, 0)` is the mean times the root of H W. The waves are those of the map
    itself, which is the authors' code on 7 x 7 maps; that code scales the frequencies
    up with a larger map, and needs the map's size beforehand.

    Cost at 64 channels on a 32 x 32 map: 512 parameters, 1,024 FLOPs.

    Args:
        ratio: Integer. How many times narrower the hidden layer is, rounded up to whole
            channels. Defaults to `16`.
        num_frequencies: Integer. Number of groups, at most 32. Defaults to `16`.
        activation: String or function. Activation of the hidden layer. Defaults to
            `"relu"`.
        gate_activation: String or function. Activation of the gate. Defaults to
            `"sigmoid"`.
        use_bias: Boolean. Whether the dense layers have biases. Defaults to `False`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`.
        return_attention_scores: Boolean. Whether the gate is returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the gate
        of shape `(B, C)`.

    Raises:
        ValueError: If the inputs have another rank, if they have fewer channels than
            `ratio` or `num_frequencies`, or if there are more than 32 frequencies.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.FrequencyChannelAttention(ratio=2, num_frequencies=4)
    output, gate = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 8)
    ```

    References:
        - Qin et al. 2021, https://arxiv.org/abs/2012.11879
    """

    ranks = (2,)

    def __init__(
        self,
        ratio=16,
        num_frequencies=16,
        activation="relu",
        gate_activation="sigmoid",
        use_bias=False,
        data_format=None,
        **kwargs,
    ):
        super().__init__(
            ratio=ratio,
            activation=activation,
            gate_activation=gate_activation,
            use_bias=use_bias,
            data_format=data_format,
            **kwargs,
        )
        owner = type(self).__name__
        check_positive_integer(owner, num_frequencies=num_frequencies)
        if num_frequencies > len(TOP_FREQUENCIES):
            raise ValueError(
                f"Invalid value for argument `num_frequencies` of `{owner}`. Expected "
                f"at most {len(TOP_FREQUENCIES)}. "
                f"Received: num_frequencies={num_frequencies}"
            )
        self.num_frequencies = num_frequencies

    def build_maps(self, shape):
        super().build_maps(shape)
        channels = shape[-1]
        if channels < self.num_frequencies:
            raise ValueError(
                f"`{type(self).__name__}` has too few channels for its groups. "
                "Expected at least `num_frequencies` channels. Received: "
                f"num_frequencies={self.num_frequencies}, channels={channels}"
            )
        groups = np.array_split(np.arange(channels), self.num_frequencies)
        sizes = [len(group) for group in groups]
        pairs = np.repeat(TOP_FREQUENCIES[: self.num_frequencies], sizes, axis=0)
        self._waves = pairs.astype("float32").T  # (2, C)

    def calculate_gate(self, x):
        height, width = ops.shape(x)[1:3]
        down = cosine_basis(height, ops.convert_to_tensor(self._waves[0]))  # (H, C)
        across = cosine_basis(width, ops.convert_to_tensor(self._waves[1]))  # (W, C)
        down = ops.cast(ops.expand_dims(down, 1), widen(x).dtype)
        rows = ops.sum(widen(x) * ops.cast(across, widen(x).dtype), axis=2)
        squeezed = ops.sum(ops.expand_dims(rows, 2) * down, axis=(1, 2))
        squeezed = ops.cast(squeezed, x.dtype)
        return self.gate_activation(self._expand(self._reduce(squeezed)))

    def get_config(self):
        return {**super().get_config(), "num_frequencies": self.num_frequencies}
