"""Efficient multi-scale attention."""

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import (
    check_positive_integer,
    check_positive_number,
)
from attention_zoo.layers.core.weight_options import hand_on
from attention_zoo.layers.vision._base import MapGate
from attention_zoo.layers.vision._shared import (
    axis_means,
    check_divisible,
    convolution,
    flatten_positions,
    global_average,
    softmax,
    spatial_axes,
)


@keras.saving.register_keras_serializable("attention_zoo")
class EfficientMultiScaleAttention(MapGate):
    """A gate for each position and group, from two scales that learn across: EMA.

    1. Groups: the channels in `groups` of c, each a map of its own, `(B, ..., c)`; all
       share the weights below.
    2. Fine branch: `g`, the means over each row and each column through one dense layer
       `profile`, their sigmoids multiplied; `u`, the group times `g`, each channel
       normalised over its positions, with the learned `scale` and `offset`.
    3. Coarse branch: `v`, a convolution `local` of the group, `kernel_size` wide.
    4. Gate: the sigmoid of `softmax(mean of u) . v + softmax(mean of v) . u`, softmax
       and product over channels, shape `(B, ..., groups)`.
    5. Output: each group times its gate, the inputs' shape.

    Cost at 64 channels on a 32 x 32 map: 672 parameters, 9,764,864 FLOPs.

    Args:
        groups: Integer. Number of groups; it divides the number of channels. Defaults
            to `8`.
        kernel_size: Integer. Width of the convolution. Defaults to `3`.
        epsilon: Positive float. Added to the variance in step 2. Defaults to `1e-5`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.
        **kwargs: Keyword arguments of `keras.layers.Layer`, such as `name` and `dtype`,
            and of Keras's dense layers, such as `kernel_regularizer`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the gate is returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of the inputs' shape, and with `return_attention_scores=True` the gate
        of each channel, of the same shape, channels last.

    Raises:
        ValueError: If the inputs have another rank, or if `groups` does not divide
            their channels.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.EfficientMultiScaleAttention(groups=2)
    output, gate = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 8)
    np.testing.assert_array_equal(gate[..., 0], gate[..., 3])  # of the same group
    ```

    References:
        - Ouyang et al. 2023, https://arxiv.org/abs/2305.13563
    """

    family = "hybrid"

    def __init__(
        self, groups=8, kernel_size=3, epsilon=1e-5, data_format=None, **kwargs
    ):
        super().__init__(data_format=data_format, **kwargs)
        owner = type(self).__name__
        check_positive_integer(owner, groups=groups, kernel_size=kernel_size)
        check_positive_number(owner, epsilon=epsilon)
        self.groups = groups
        self.kernel_size = kernel_size
        self.epsilon = epsilon

    def build_maps(self, shape):
        check_divisible(type(self).__name__, shape[-1], groups=self.groups)
        width, policy = shape[-1] // self.groups, self.dtype_policy
        part = (None, *shape[1:-1], width)
        self._profile = keras.layers.Dense(width, dtype=policy, name="profile")
        self._local = convolution(
            len(shape) - 2, width, self.kernel_size, policy, name="local"
        )
        self._profile.build((None, None, width))
        hand_on(self._weight_options, self._local)
        self._local.build(part)
        self.scale = self.add_weight(name="scale", shape=(width,), initializer="ones")
        self.offset = self.add_weight(
            name="offset", shape=(width,), initializer="zeros"
        )

    def _to_groups(self, x):
        """Returns `(B, ..., groups c)` as `(B groups, ..., c)`."""
        sizes = ops.shape(x)
        width = x.shape[-1] // self.groups
        x = ops.moveaxis(ops.reshape(x, (*sizes[:-1], self.groups, width)), -2, 1)
        return ops.reshape(x, (sizes[0] * self.groups, *sizes[1:-1], width))

    def _profile_gate(self, x):
        """Returns the product over the axes of the sigmoids of `profile`."""
        gate = 1.0
        for mean, others in axis_means(x):
            gate = gate * ops.expand_dims(ops.sigmoid(self._profile(mean)), others)
        return gate

    def _normalize(self, x):
        """Returns `x` with mean 0 and variance 1 for each channel of each map."""
        wide, axes = widen(x), spatial_axes(x)
        wide = wide - ops.mean(wide, axis=axes, keepdims=True)
        square = ops.mean(ops.square(wide), axis=axes, keepdims=True)
        wide = wide / ops.sqrt(square + self.epsilon)
        wide = wide * ops.cast(self.scale, wide.dtype)
        return ops.cast(wide + ops.cast(self.offset, wide.dtype), x.dtype)

    def calculate_gate(self, x):
        group = self._to_groups(x)
        fine = self._normalize(group * self._profile_gate(group))
        coarse = self._local(group)
        scores = _compare(fine, coarse) + _compare(coarse, fine)  # (B groups, N)
        sizes = ops.shape(x)
        gate = ops.reshape(ops.sigmoid(scores), (sizes[0], self.groups, *sizes[1:-1]))
        gate = ops.moveaxis(gate, 1, -1)  # (B, ..., groups)
        return ops.repeat(gate, x.shape[-1] // self.groups, axis=-1)

    def get_config(self):
        config = {
            "groups": self.groups,
            "kernel_size": self.kernel_size,
            "epsilon": self.epsilon,
        }
        return {**super().get_config(), **config}


def _compare(pooled, map_):
    """Returns `softmax(mean of pooled) . map_` over channels, `(B, N)`."""
    shares = ops.expand_dims(softmax(global_average(pooled)), -1)  # (B, c, 1)
    return ops.matmul(flatten_positions(map_), shares)[..., 0]
