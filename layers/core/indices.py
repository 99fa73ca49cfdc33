"""Tensors of indices: their dtype, and their values where these are known."""

import keras
import numpy as np
from keras import ops


def known_values(x):
    """Returns `x` as a NumPy array, or None inside a function that is compiled."""
    if x is None or isinstance(x, keras.KerasTensor):
        return None
    try:
        return np.asarray(ops.convert_to_numpy(x))
    except (NotImplementedError, TypeError):
        return None


def check_integers(owner, **arrays):
    """Raises `ValueError` unless every tensor holds integers."""
    for name, x in arrays.items():
        dtype = keras.backend.standardize_dtype(x.dtype)
        if "int" not in dtype:
            raise ValueError(
                f"`{owner}` expects `{name}` of an integer dtype, for indices. "
                f"Received: {name}.dtype={dtype}"
            )
