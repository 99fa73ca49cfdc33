"""The bottleneck attention module."""

import keras

from attention_zoo.layers.core.validation import check_choice, check_positive_integer
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import (
    convolution,
    global_average,
    per_map,
    reduced_channels,
)

COMBINATIONS = ("sum", "product")


@keras.saving.register_keras_serializable("attention_zoo")
class BAM(VisionLayer):
    """An element-wise gate, from a channel and a spatial branch.

    1. Channel branch: `BN(W1 relu(W0 z + b0) + b1)` with `z` the mean of each channel,
       shape `(B, C)`; `channel_reduce`, `channel_expand`, `channel_norm`.
    2. Spatial branch: 1 x 1 convolution to `C / ratio` channels, two 3 x 3 ones dilated
       by `dilation_rate`, 1 x 1 to one channel, each but the last followed by relu,
       then batch normalisation, shape `(B, H, W, 1)`; `spatial_0` to `spatial_3` and
       `spatial_norm`.
    3. Gate: `sigmoid(channel + spatial)`, shape `(B, H, W, C)`.
    4. Output: `x + x gate`, the inputs' shape.

    The paper sums the branches; the authors' released code multiplies them, which is
    `combine="product"`. That code also normalises behind each hidden layer, and not at
    the end of the branches, where the paper does.

    Cost at 64 channels on a 32 x 32 map: 1,271 parameters, 1,123,328 FLOPs.

    Args:
        ratio: Integer. How many times fewer channels the hidden layers have, rounded
            up. Defaults to `16`.
        dilation_rate: Integer. Dilation of the 3 x 3 convolutions. Defaults to `4`.
        combine: String, `"sum"` or `"product"` of the branches, before the sigmoid.
            Defaults to `"sum"`.
        activation: String or function. Activation of the hidden layers. Defaults to
            `"relu"`.
        gate_activation: String or function. Activation of the gate. Defaults to
            `"sigmoid"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the gate is returned too.
        training: Boolean. Whether batch normalisation takes the batch's statistics.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the gate of
        the same shape, channels last.

    Raises:
        ValueError: If the inputs have another rank, if they have fewer channels than
            `ratio`, or if `combine` is unknown.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    output, gate = layers.BAM(ratio=2)(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 7, 5, 8)
    ```

    References:
        - Park et al. 2018, https://arxiv.org/abs/1807.06514
    """

    family = "hybrid"

    def __init__(
        self,
        ratio=16,
        dilation_rate=4,
        combine="sum",
        activation="relu",
        gate_activation="sigmoid",
        data_format=None,
        **kwargs,
    ):
        super().__init__(data_format=data_format, **kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, ratio=ratio, dilation_rate=dilation_rate)
        check_choice(owner, COMBINATIONS, combine=combine)
        self.ratio = ratio
        self.dilation_rate = dilation_rate
        self.combine = combine
        self.activation = keras.activations.get(activation)
        self.gate_activation = keras.activations.get(gate_activation)

    def build_maps(self, shape):
        channels, policy = shape[-1], self.dtype_policy
        hidden = reduced_channels(type(self).__name__, channels, self.ratio)
        self._channel = _chain(
            self._weight_options,
            [
                keras.layers.Dense(hidden, dtype=policy, name="channel_reduce"),
                keras.layers.Dense(channels, dtype=policy, name="channel_expand"),
                keras.layers.BatchNormalization(dtype=policy, name="channel_norm"),
            ],
            (shape[0], channels),
        )
        dilated = {"kernel_size": 3, "dilation_rate": self.dilation_rate}
        options = [{"kernel_size": 1}, dilated, dilated, {"kernel_size": 1}]
        widths = [hidden, hidden, hidden, 1]
        rank = len(shape) - 2
        self._spatial = _chain(
            self._weight_options,
            [
                *(
                    convolution(rank, w, policy=policy, name=f"spatial_{i}", **o)
                    for i, (w, o) in enumerate(zip(widths, options, strict=True))
                ),
                keras.layers.BatchNormalization(dtype=policy, name="spatial_norm"),
            ],
            shape,
        )

    def _run_branch(self, parts, x):
        """Returns what the branch makes of `x`: activation behind each but the last."""
        *hidden, last, norm = parts
        for part in hidden:
            x = self.activation(part(x))
        return norm(last(x))

    def attend_maps(self, x):
        channel = per_map(self._run_branch(self._channel, global_average(x)), x)
        spatial = self._run_branch(self._spatial, x)
        both = channel + spatial if self.combine == "sum" else channel * spatial
        gate = self.gate_activation(both)
        return x + x * gate, gate

    def reduce_weights(self, weights, sizes):
        return weights.mean(axis=-1)

    def scores_shape(self, shape):
        return shape

    def get_config(self):
        config = {
            "ratio": self.ratio,
            "dilation_rate": self.dilation_rate,
            "combine": self.combine,
            "activation": keras.activations.serialize(self.activation),
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}


def _chain(options, parts, shape):
    """Builds layers that follow one another and returns them."""
    for part in parts:
        hand_on(options, part)
        part.build(shape)
        shape = part.compute_output_shape(shape)
    return parts
