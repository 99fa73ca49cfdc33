"""Dynamic convolution."""

import itertools

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import widen
from attention_zoo.layers.core.validation import (
    check_positive_integer,
    check_positive_number,
)
from attention_zoo.layers.vision._base import BranchLayer
from attention_zoo.layers.vision._shared import (
    check_odd,
    flatten_positions,
    global_average,
    merge_sizes,
    reduced_channels,
    softmax,
)


def convolve_each(x, kernels, kernel_size):
    """Returns the convolution of each map with a kernel of its own, zeros around it.

    Args:
        x: Tensor `(B, ..., C)`.
        kernels: Tensor `(B, K, C, F)`, K the positions of the kernel row by row.
        kernel_size: Odd reach along each axis.

    Returns:
        Tensor `(B, ..., F)`.
    """
    rank, reach = len(x.shape) - 2, kernel_size // 2
    sizes = ops.shape(x)[1:-1]
    padded = ops.pad(x, ((0, 0), *[(reach, reach)] * rank, (0, 0)))
    total = 0.0
    for i, offset in enumerate(itertools.product(range(kernel_size), repeat=rank)):
        window = tuple(slice(o, o + n) for o, n in zip(offset, sizes, strict=True))
        part = flatten_positions(padded[(slice(None), *window)])  # (B, N, C)
        total = total + ops.matmul(part, kernels[:, i])
    return ops.reshape(total, (*ops.shape(x)[:-1], kernels.shape[-1]))


@keras.saving.register_keras_serializable("attention_zoo")
class DynamicConv(BranchLayer):
    """A convolution whose kernel is a mix of several, mixed anew for each map.

    1. Weights: softmax over the kernels of `W2 relu(W1 z + b1) + b2` over the
       temperature, with `z` the mean of each channel, shape `(B, num_kernels)`;
       `reduce` and `mix`.
    2. Kernel and bias: the sums of `kernel_0`, `kernel_1`, ... and of the rows of
       `bias` weighed so.
    3. Output: the convolution with that kernel, zeros around the map, shape
       `(B, H, W, filters)`.

    At a high temperature all kernels learn. The paper lowers it from 30 to 1 over the
    first ten epochs: `layer.current_temperature.assign(...)` in a callback.

    Cost at 64 channels on a 32 x 32 map: 148,820 parameters, 75,795,072 FLOPs.

    Args:
        filters: Integer. Number of channels of the output. Defaults to `None`: as many
            as the inputs have.
        kernel_size: Odd integer. Reach of the convolution. Defaults to `3`.
        num_kernels: Integer. Number of kernels. Defaults to `4`.
        ratio: Integer. How many times narrower the hidden layer is, rounded up.
            Defaults to `4`.
        temperature: Float above 0. Value at which the weight `current_temperature`
            starts; it is not trained. Defaults to `30.0`.
        use_bias: Boolean. Whether the convolution has a bias. Defaults to `True`.
        activation: String or function. Activation of the hidden layer. Defaults to
            `"relu"`.
        data_format: String, `"channels_last"` or `"channels_first"`. Defaults to
            `None`: `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, H, W, C)`, `(B, T, C)` or `(B, D, H, W, C)`.
        return_attention_scores: Boolean. Whether the weights are returned too.
        training: Boolean. Has no effect.

    Returns:
        Output of shape `(B, H, W, filters)`, and with `return_attention_scores=True`
        the weights of shape `(B, num_kernels)`.

    Raises:
        ValueError: If the inputs have another rank, if they have fewer channels than
            `ratio`, if `kernel_size` is even, or if `temperature` is not above 0.

    Example:

    ```python
    maps = np.random.normal(size=(2, 7, 5, 8)).astype("float32")
    layer = layers.DynamicConv(filters=3, num_kernels=4)
    output, weights = layer(maps, return_attention_scores=True)
    assert output.shape == (2, 7, 5, 3)
    assert weights.shape == (2, 4)
    ```

    References:
        - Chen et al. 2020, https://arxiv.org/abs/1912.03458
    """

    def __init__(
        self,
        filters=None,
        kernel_size=3,
        num_kernels=4,
        ratio=4,
        temperature=30.0,
        use_bias=True,
        activation="relu",
        data_format=None,
        **kwargs,
    ):
        super().__init__(filters=filters, data_format=data_format, **kwargs)
        owner = type(self).__name__
        check_odd(owner, kernel_size=kernel_size)
        check_positive_integer(owner, num_kernels=num_kernels, ratio=ratio)
        check_positive_number(owner, temperature=temperature)
        self.kernel_size = kernel_size
        self.num_kernels = num_kernels
        self.ratio = ratio
        self.temperature = temperature
        self.use_bias = use_bias
        self.activation = keras.activations.get(activation)

    def build_maps(self, shape):
        channels, policy = shape[-1], self.dtype_policy
        filters = self.filters or channels
        hidden = reduced_channels(type(self).__name__, channels, self.ratio)
        self._reduce = keras.layers.Dense(hidden, dtype=policy, name="reduce")
        self._mix = keras.layers.Dense(self.num_kernels, dtype=policy, name="mix")
        self._reduce.build((shape[0], channels))
        self._mix.build((shape[0], hidden))
        reach = [self.kernel_size] * (len(shape) - 2)
        self.kernels = [
            self.add_weight(name=f"kernel_{i}", shape=(*reach, channels, filters))
            for i in range(self.num_kernels)
        ]
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.num_kernels, filters), initializer="zeros"
            )
        self.current_temperature = self.add_weight(
            name="current_temperature",
            shape=(),
            initializer=keras.initializers.Constant(self.temperature),
            trainable=False,
        )

    def attend_maps(self, x):
        logits = widen(self._mix(self.activation(self._reduce(global_average(x)))))
        heat = ops.cast(self.current_temperature, logits.dtype)
        weights = ops.cast(softmax(logits / heat), x.dtype)
        flat = [ops.reshape(ops.cast(k, x.dtype), (-1,)) for k in self.kernels]
        kernels = ops.matmul(weights, ops.stack(flat))
        *area, channels, filters = self.kernels[0].shape
        kernels = ops.reshape(
            kernels, (ops.shape(x)[0], merge_sizes(area), channels, filters)
        )
        output = convolve_each(x, kernels, self.kernel_size)
        if self.bias is not None:
            bias = ops.matmul(weights, ops.cast(self.bias, x.dtype))
            output = output + ops.expand_dims(bias, tuple(range(1, len(x.shape) - 1)))
        return output, weights

    def scores_shape(self, shape):
        return (shape[0], self.num_kernels)

    def get_config(self):
        config = {
            "kernel_size": self.kernel_size,
            "num_kernels": self.num_kernels,
            "ratio": self.ratio,
            "temperature": self.temperature,
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}
