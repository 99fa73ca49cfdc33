"""What the vision layers share: data formats, pooling, projections and checks."""

import math

import keras
from keras import ops

from attention_zoo.layers.core.inputs import max_or_zeros
from attention_zoo.layers.core.normalizers import masked_softmax, widen
from attention_zoo.layers.core.validation import check_positive_integer


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


def axis_means(x):
    """Returns the mean over all other axes for each axis between batch and channels.

    Args:
        x: Tensor `(B, ..., C)`.

    Returns:
        List of pairs: the mean `(B, size of the axis, C)`, and the other axes.
    """
    axes, found = spatial_axes(x), []
    for axis in axes:
        others = tuple(a for a in axes if a != axis)
        mean = ops.cast(ops.mean(widen(x), axis=others), x.dtype) if others else x
        found.append((mean, others))
    return found


def global_max(x):
    """Returns the maximum over positions, `(B, ..., C)` to `(B, C)`."""
    return max_or_zeros(x, axis=spatial_axes(x))


def per_map(vector, x):
    """Returns `vector` `(B, C)` as `(B, 1, ..., 1, C)`, to meet `x` `(B, ..., C)`."""
    return ops.expand_dims(vector, spatial_axes(x))


def flatten_positions(x):
    """Returns `x` `(B, ..., C)` as `(B, N, C)`, `N` the number of positions."""
    if len(x.shape) == 3:
        return x
    shape = ops.shape(x)
    return ops.reshape(x, (shape[0], merge_sizes(shape[1:-1]), shape[-1]))


def merge_sizes(sizes):
    """Returns the product of axes' sizes, or -1 if one is not known.

    A reshape of an empty batch takes no -1 on PyTorch.
    """
    return math.prod(sizes) if all(isinstance(size, int) for size in sizes) else -1


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


def add_projections(layer, shape, width, value_width):
    """Gives a layer its `query`, `key` and `value`: dense layers over the channels.

    The key has no bias, which a softmax over dot products would cancel.

    Args:
        layer: A layer that is being built.
        shape: Shape of the inputs, `(B, ..., C)`.
        width: Integer. Channels of query and key.
        value_width: Integer. Channels of the value.
    """
    policy = layer.dtype_policy
    layer._query = keras.layers.Dense(width, dtype=policy, name="query")
    layer._key = keras.layers.Dense(width, use_bias=False, dtype=policy, name="key")
    layer._value = keras.layers.Dense(value_width, dtype=policy, name="value")
    for part in (layer._query, layer._key, layer._value):
        part.build(shape)


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
