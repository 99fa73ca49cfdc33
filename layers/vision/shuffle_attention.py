"""Shuffle attention."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import check_positive_integer
from attention_zoo.layers.vision._base import VisionLayer
from attention_zoo.layers.vision._shared import merge_sizes, spatial_axes


def normalize_maps(x, epsilon=1e-5):
    """Returns each channel's map with mean 0 and variance 1, `(B, ..., C)`."""
    mean, variance = ops.moments(widen(x), axes=spatial_axes(x), keepdims=True)
    return ops.cast((widen(x) - mean) * ops.rsqrt(variance + epsilon), x.dtype)


def shuffle_channels(x, groups):
    """Returns `x` `(B, ..., C)` with the channels of `groups` groups interleaved."""
    shape = ops.shape(x)
    x = ops.reshape(x, (*shape[:-1], groups, x.shape[-1] // groups))
    return ops.reshape(ops.swapaxes(x, -2, -1), shape)


@keras.saving.register_keras_serializable("attention_zoo")
class ShuffleAttention(VisionLayer):
    """Half of each group's channels take a channel gate, the other half a spatial one.

    The channels are cut into `groups` groups, each group into two halves of
    `D = C / (2 groups)` channels; all groups share the weights.

    1. First half: `x sigmoid(w1 mean(x) + b1)`, with the mean of each channel.
    2. Second half: `x sigmoid(w2 norm(x) + b2)`, `norm` with mean 0 and variance 1 over
       the map of each channel, times `gamma`, plus `beta`.
    3. Output: the halves joined, then the channels of all first and second halves of
       the map interleaved, the inputs' shape.

    Weights of shape `(D,)`: `channel_scale` w1, `channel_bias` b1, `spatial_scale` w2,
    `spatial_bias` b2, `gamma`, `beta`. As in the authors' code the gates start at
    `sigmoid(1)`.

    Cost at 64 channels on a 32 x 32 map: 24 parameters, 0 FLOPs (element-wise work
    only).

    Args:
        groups: Integer. Number of groups; twice as many must divide the channels.
            Defaults to `8`; the paper has 64, for 256 channels and more.
        gate_activation: String or function. Activation of the gates. Defaults to
            `"sigmoid"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the gate is returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the gate of
        each element of the inputs, of the same shape, channels last.

    Raises:
        ValueError: If the inputs have another rank, or if `2 groups` does not divide
            the channels.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    output, gate = layers.ShuffleAttention(groups=2)(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    assert gate.shape == (2, 7, 5, 8)
    ```

    References:
        - Zhang and Yang 2021, https://arxiv.org/abs/2102.00240
    """

    family = "hybrid"

    def __init__(self, groups=8, gate_activation="sigmoid", data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        check_positive_integer(type(self).__name__, groups=groups)
        self.groups = groups
        self.gate_activation = keras.activations.get(gate_activation)

    def build_maps(self, shape):
        if shape[-1] % (2 * self.groups):
            raise ValueError(
                f"`{type(self).__name__}` cannot cut its channels into groups. "
                "Expected a number of channels that 2 * `groups` divides. "
                f"Received: groups={self.groups}, channels={shape[-1]}"
            )
        width = shape[-1] // (2 * self.groups)

        def weight(name, initializer):
            return self.add_weight(name=name, shape=(width,), initializer=initializer)

        self.channel_scale = weight("channel_scale", "zeros")
        self.channel_bias = weight("channel_bias", "ones")
        self.spatial_scale = weight("spatial_scale", "zeros")
        self.spatial_bias = weight("spatial_bias", "ones")
        self.gamma = weight("gamma", "ones")
        self.beta = weight("beta", "zeros")

    def attend_maps(self, x):
        shape = ops.shape(x)
        split = (*shape[:-1], self.groups, 2, x.shape[-1] // (2 * self.groups))
        x = ops.reshape(x, split)  # (B, ..., groups, 2, D)
        first, second = x[..., 0, :], x[..., 1, :]
        dtype = x.dtype

        mean = ops.mean(
            widen(first), axis=tuple(range(1, len(shape) - 1)), keepdims=True
        )
        channel = ops.cast(mean, dtype) * ops.cast(self.channel_scale, dtype)
        channel = self.gate_activation(channel + ops.cast(self.channel_bias, dtype))

        flat = ops.reshape(second, (*shape[:-1], merge_sizes(ops.shape(second)[-2:])))
        spatial = ops.reshape(normalize_maps(flat), ops.shape(second))
        spatial = spatial * ops.cast(self.gamma, dtype) + ops.cast(self.beta, dtype)
        spatial = spatial * ops.cast(self.spatial_scale, dtype)
        spatial = self.gate_activation(spatial + ops.cast(self.spatial_bias, dtype))

        channel = ops.broadcast_to(channel, ops.shape(spatial))
        gate = ops.stack([channel, spatial], axis=-2)
        output = ops.reshape(x * gate, shape)
        return shuffle_channels(output, 2), ops.reshape(gate, shape)

    def reduce_weights(self, weights, sizes):
        return weights.mean(axis=-1)

    def scores_shape(self, shape):
        return shape

    def get_config(self):
        config = {
            "groups": self.groups,
            "gate_activation": keras.activations.serialize(self.gate_activation),
        }
        return {**super().get_config(), **config}
