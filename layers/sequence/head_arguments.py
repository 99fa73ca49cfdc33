"""The arguments of multi-head attention: what is checked, and what is saved."""

import keras

from attention_zoo.layers.core.masks import check_window
from attention_zoo.layers.core.validation import (
    check_optional_integers,
    check_positive_integer,
)


def check_heads(owner, num_heads, key_dim, value_dim, num_kv_heads):
    """Raises `ValueError` unless the numbers and widths of heads are valid."""
    check_positive_integer(owner, num_heads=num_heads, key_dim=key_dim)
    check_optional_integers(owner, value_dim=value_dim, num_kv_heads=num_kv_heads)
    if num_heads % (num_kv_heads or 1):
        raise ValueError(
            f"`{owner}` expects `num_heads` divisible by `num_kv_heads`. Received: "
            f"num_heads={num_heads}, num_kv_heads={num_kv_heads}"
        )


def check_output_shape(owner, output_shape):
    """Returns the argument `output_shape` as a tuple, or None."""
    if output_shape is None:
        return None
    listed = isinstance(output_shape, (tuple, list)) and len(output_shape) > 0
    sizes = tuple(output_shape) if listed else (output_shape,)
    for size in sizes:
        check_positive_integer(owner, output_shape=size)
    return sizes


def check_flash(owner, flash_attention, dropout):
    """Raises `ValueError` unless `flash_attention` is None, True or False, and may be.

    As in Keras, a flash kernel that must be used allows no dropout.
    """
    if flash_attention not in (None, True, False):
        raise ValueError(
            f"Invalid value for argument `flash_attention` of `{owner}`. Expected "
            f"None, True or False. Received: flash_attention={flash_attention!r}"
        )
    if flash_attention and dropout:
        raise ValueError(
            f"`{owner}` has no flash kernel with dropout. Expected dropout=0.0 with "
            f"flash_attention=True. Received: dropout={dropout}"
        )


def find_window(owner, window, sliding_window):
    """Returns the window `(left, right)` that either of two arguments gives, or None.

    Args:
        owner: Name of the layer, for messages.
        window: None, an integer or a pair.
        sliding_window: None or an integer, one more than the `window` it stands for.
    """
    check_optional_integers(owner, sliding_window=sliding_window)
    if sliding_window is None:
        return check_window(owner, window)
    if window is not None:
        raise ValueError(
            f"`{owner}` takes `window` or `sliding_window`, which say the same. "
            f"Received: window={window!r}, sliding_window={sliding_window}"
        )
    return (sliding_window - 1, sliding_window - 1)


def further_config(layer):
    """Returns those arguments of Keras's layer that have not their defaults."""
    bias = keras.initializers.serialize(layer.bias_initializer)
    plain = keras.initializers.serialize(keras.initializers.get("zeros"))
    config = {
        "attention_axes": layer.attention_axes,
        "sliding_window": layer.sliding_window,
        "flash_attention": layer.flash_attention,
        "bias_initializer": None if bias == plain else bias,
        "activity_regularizer": None
        if layer._activity is None
        else keras.regularizers.serialize(layer._activity),
        "use_gate": layer.use_gate or None,
    }
    return {name: value for name, value in config.items() if value is not None}
