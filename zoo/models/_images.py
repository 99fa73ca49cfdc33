"""What the image models share: checks, raw pixels in, class probabilities out."""

import keras

from attention_zoo.kernels.batch_norm import FusedBatchNormalization
from attention_zoo.layers.core.validation import check_positive_integer, check_rate


def check_arguments(owner, num_classes, input_shape, dropout):
    """Raises `ValueError` for what no image model takes.

    Args:
        owner: Name of the model, for the message.
        num_classes: Integer of at least 2.
        input_shape: Height, width and channels, positive integers.
        dropout: Float in `[0, 1)`.
    """
    check_positive_integer(owner, num_classes=num_classes)
    check_rate(owner, dropout=dropout)
    if num_classes < 2:
        raise ValueError(
            f"Invalid value for argument `num_classes` of `{owner}`. Expected an "
            f"integer of at least 2. Received: num_classes={num_classes!r}"
        )
    sizes = tuple(input_shape)
    if len(sizes) != 3 or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ValueError(
            f"Invalid value for argument `input_shape` of `{owner}`. Expected height, "
            "width and channels as positive integers. "
            f"Received: input_shape={input_shape!r}"
        )


def pixels_to_maps(input_shape):
    """Returns the input of raw pixels 0 to 255, and the same scaled to -1 to 1."""
    pixels = keras.Input(tuple(input_shape), dtype="uint8", name="pixels")
    return pixels, keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(pixels)


def head(x, num_classes, dropout):
    """Returns the class probabilities `(B, num_classes)` of vectors `(B, D)`."""
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.layers.Dense(
        num_classes, activation="softmax", dtype="float32", name="head"
    )(x)


def convolution(x, filters, kernel_size, strides=1, activation="relu", name=None):
    """Returns a convolution of `x`, batch-normalized, and activated unless None."""
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = FusedBatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
    if activation is None:
        return x
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)
