"""What the vision layers share: data formats, pooling, gates and checks.

A subclass of `VisionLayer` sees channels last only. Channels-first maps are moved to
channels last on the way in and back on the way out, since TensorFlow has no
channels-first convolution on a CPU; so both formats give the same values.
"""

import math

import keras
from keras import ops

from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.recording import record
from attention_zoo.layers.core.validation import check_choice, check_positive_integer

DATA_FORMATS = ("channels_last", "channels_first")


def to_channels_last(x, data_format):
    """Returns `x` as `(B, ..., C)`."""
    return ops.moveaxis(x, 1, -1) if data_format == "channels_first" else x


def to_data_format(x, data_format):
    """Returns `x` `(B, ..., C)` in `data_format`."""
    return ops.moveaxis(x, -1, 1) if data_format == "channels_first" else x


def softmax(scores):
    """Softmax over the last axis, in at least float32, in the dtype of `scores`."""
    return ops.cast(masked_softmax(widen(scores)), scores.dtype)


def spatial_axes(x):
    """Returns the axes between batch and channels of `x` `(B, ..., C)`."""
    return tuple(range(1, len(x.shape) - 1))


def global_average(x):
    """Returns the mean over positions, `(B, ..., C)` to `(B, C)`."""
    return ops.cast(ops.mean(widen(x), axis=spatial_axes(x)), x.dtype)


def global_max(x):
    """Returns the maximum over positions, `(B, ..., C)` to `(B, C)`."""
    return ops.max(x, axis=spatial_axes(x))


def per_map(vector, x):
    """Returns `vector` `(B, C)` as `(B, 1, ..., 1, C)`, to meet `x` `(B, ..., C)`."""
    return ops.expand_dims(vector, spatial_axes(x))


def flatten_positions(x):
    """Returns `x` `(B, ..., C)` as `(B, N, C)`, `N` the number of positions."""
    if len(x.shape) == 3:
        return x
    shape = ops.shape(x)
    return ops.reshape(x, (shape[0], -1, shape[-1]))


def unflatten_positions(flat, x):
    """Returns `flat` `(B, N, D)` with the positions of `x`, `(B, ..., D)`."""
    return ops.reshape(flat, (*ops.shape(x)[:-1], ops.shape(flat)[-1]))


def count_positions(shape):
    """Returns the number of positions in the shape `(B, ..., C)`, None if unknown."""
    count = 1
    for size in shape[1:-1]:
        count = None if count is None or size is None else count * size
    return count


def mean_over_queries(weights, sizes):
    """Returns NumPy weights `(B, ..., N)` of N keys as their mean, `(B, *sizes)`.

    Returns None where `sizes` have another number of positions.
    """
    if weights.shape[-1] != math.prod(sizes):
        return None
    mean = weights.mean(axis=tuple(range(1, weights.ndim - 1)))
    return mean.reshape(len(weights), *sizes)


def convolution(rank, filters, kernel_size, policy, depthwise=False, **kwargs):
    """Returns Keras's convolution over `rank` axes, of `same` padding."""
    kwargs = {
        "kernel_size": kernel_size,
        "padding": "same",
        "data_format": "channels_last",
        "dtype": policy,
        **kwargs,
    }
    if depthwise:
        return getattr(keras.layers, f"DepthwiseConv{rank}D")(**kwargs)
    return getattr(keras.layers, f"Conv{rank}D")(filters, **kwargs)


def check_odd(owner, **arguments):
    """Raises `ValueError` unless every argument is an odd positive integer."""
    for name, value in arguments.items():
        check_positive_integer(owner, **{name: value})
        if value % 2 == 0:
            raise ValueError(
                f"Invalid value for argument `{name}` of `{owner}`. Expected an odd "
                f"integer, so that the kernel has a middle. Received: {name}={value!r}"
            )


def reduced_channels(owner, channels, ratio):
    """Returns `channels / ratio` rounded up; raises when `ratio` exceeds `channels`."""
    if channels < ratio:
        raise ValueError(
            f"`{owner}` has too few channels for its ratio. Expected at least `ratio` "
            f"channels. Received: ratio={ratio}, channels={channels}"
        )
    return -(-channels // ratio)


def check_divisible(owner, channels, **arguments):
    """Raises `ValueError` unless every argument divides the number of channels."""
    for name, value in arguments.items():
        if channels % value:
            raise ValueError(
                f"`{owner}` cannot split its channels. Expected a number of channels "
                f"that {value} divides. Received: {name}={value}, channels={channels}"
            )


class VisionLayer(keras.layers.Layer):
    """Base of the vision layers: one tensor in, one of its shape out.

    A subclass creates its weights in `build_maps(shape)` and computes in
    `attend_maps(x)`, which returns the output and the weights; shape and `x` are
    `(B, ..., C)`. `scores_shape(shape)` says which shape the weights have; a subclass
    whose parts record their own weights sets `records = False`.

    Padding masks are not taken: Keras warns where one comes in.

    Attributes:
        family: Name of the family in the registry of layers.
        weights_are: What the recorded weights are of: `"positions"`, `"channels"` or
            `"branches"`; None where the parts record their own.
        records: Whether the layer records the weights that `attend_maps` returns.

    Args:
        data_format: `"channels_last"` or `"channels_first"`. Defaults to `None`:
            `keras.config.image_data_format()`.

    Call arguments:
        inputs: Tensor of shape `(B, ..., C)`, or `(B, C, ...)` channels first.
        return_attention_scores: Whether the weights are returned too.
        training: Boolean.
    """

    family: str | None = None
    weights_are: str | None = "positions"
    ranks: tuple[int, ...] = (1, 2, 3)  # numbers of axes between batch and channels
    records = True

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        if data_format is None:
            data_format = keras.config.image_data_format()
        check_choice(type(self).__name__, DATA_FORMATS, data_format=data_format)
        self.data_format = data_format

    def build(self, input_shape):
        self.build_maps(self._last_shape(input_shape))
        self.built = True

    def _last_shape(self, shape):
        """Checks the shape of the inputs and returns it as `(B, ..., C)`."""
        shape = tuple(shape)
        owner = type(self).__name__
        if len(shape) - 2 not in self.ranks:
            ranks = " or ".join(str(r + 2) for r in self.ranks)
            raise ValueError(
                f"`{owner}` expects `inputs` of rank {ranks}. "
                f"Received: inputs.shape={shape}"
            )
        last = shape
        if self.data_format == "channels_first":
            last = (shape[0], *shape[2:], shape[1])
        if last[-1] is None:
            raise ValueError(
                f"`{owner}` expects `inputs` of a known number of channels. "
                f"Received: inputs.shape={shape}, data_format={self.data_format!r}"
            )
        return last

    def build_maps(self, shape):
        """Creates the weights for inputs of shape `(B, ..., C)`."""

    def attend_maps(self, x):
        """Returns output and weights of inputs `(B, ..., C)`."""
        raise NotImplementedError

    def scores_shape(self, shape):
        """Returns the shape of the weights for inputs of shape `(B, ..., C)`."""
        raise NotImplementedError

    def reduce_weights(self, weights, sizes):
        """Returns recorded weights as one number for each of what they are of.

        Args:
            weights: NumPy array as the layer recorded it, `(B, ...)`.
            sizes: Tuple of the sizes of the axes between batch and channels.

        Returns:
            Array `(B, *sizes)` for positions, of a smaller map where the layer pools:
            the mean over heads and over the positions that look, or over channels.
            `(B, C)` for channels, `(B, M)` or `(B, M, C)` for branches. None where the
            weights belong to inputs of other sizes, or to no single map.
        """
        return None

    def call(self, inputs, return_attention_scores=False, training=None):
        self._last_shape(inputs.shape)
        x = to_channels_last(inputs, self.data_format)
        output, weights = self.attend_maps(x)
        if self.records:
            record(self, weights)
        output = to_data_format(output, self.data_format)
        return (output, weights) if return_attention_scores else output

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def compute_output_spec(self, inputs, return_attention_scores=False, training=None):
        shape = self._last_shape(inputs.shape)
        output = keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype=self.compute_dtype
        )
        if not return_attention_scores:
            return output
        scores = keras.tree.map_shape_structure(
            lambda s: keras.KerasTensor(s, dtype=self.compute_dtype),
            self.scores_shape(shape),
        )
        return output, scores

    def get_config(self):
        return {**super().get_config(), "data_format": self.data_format}


class ChannelGate(VisionLayer):
    """Base of the layers that multiply each channel by a gate `(B, C)`.

    A subclass overrides `calculate_gate(x)`.
    """

    family = "channel"
    weights_are = "channels"

    def attend_maps(self, x):
        gate = self.calculate_gate(x)
        return x * per_map(gate, x), gate

    def reduce_weights(self, weights, sizes):
        return weights

    def scores_shape(self, shape):
        return (shape[0], shape[-1])


class SpatialGate(VisionLayer):
    """Base of the layers that multiply each position by a gate `(B, ...)`.

    A subclass overrides `calculate_gate(x)`.
    """

    family = "spatial"

    def attend_maps(self, x):
        gate = self.calculate_gate(x)
        return x * ops.expand_dims(gate, -1), gate

    def reduce_weights(self, weights, sizes):
        return weights

    def scores_shape(self, shape):
        return shape[:-1]


class MapGate(VisionLayer):
    """Base of the layers that multiply each number by its own gate, `(B, ..., C)`.

    A subclass overrides `calculate_gate(x)`.
    """

    def attend_maps(self, x):
        gate = self.calculate_gate(x)
        return x * gate, gate

    def reduce_weights(self, weights, sizes):
        return weights.mean(axis=-1)

    def scores_shape(self, shape):
        return shape


class BranchLayer(VisionLayer):
    """Base of the layers that replace a convolution: `filters` channels come out.

    Args:
        filters: Number of channels of the output. Defaults to `None`: as many as the
            inputs have.
    """

    family = "branch"
    weights_are = "branches"

    def __init__(self, filters=None, data_format=None, **kwargs):
        super().__init__(data_format=data_format, **kwargs)
        if filters is not None:
            check_positive_integer(type(self).__name__, filters=filters)
        self.filters = filters

    def reduce_weights(self, weights, sizes):
        return weights

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        axis = 1 if self.data_format == "channels_first" else -1
        shape[axis] = self.filters or shape[axis]
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
