"""Cases of the vision layers, each in both data formats.

Cases keep relu layers behind a global pool wide (`ratio` 1): of a few units all may be
dead for both rows, and then their weights would get no gradient.
"""

import numpy as np
from support.check_layer import Case


def channels_first(formula):
    """Returns the channels-last `formula` with inputs and output `(B, C, ...)`."""

    def compute(weights, inputs, masks):
        inputs = {k: np.moveaxis(x, 1, -1) for k, x in inputs.items()}
        result = formula(weights, inputs, masks)
        if isinstance(result, tuple):
            return np.moveaxis(result[0], -1, 1), result[1]
        return np.moveaxis(result, -1, 1)

    return compute


def one_format(name, cls, config, formula, shape=(2, 7, 5, 11), **options):
    """Returns the case of a layer channels last, the sizes of its maps unknown.

    Args:
        name: Name of the case, unique.
        cls: Class of the layer.
        config: Constructor arguments without `data_format`.
        formula: As in `Case`, for channels last.
        shape: Shape of the inputs, `(B, ..., C)`.
        **options: Further fields of `Case`.
    """
    options = {"dynamic": tuple(range(1, len(shape) - 1)), **options}
    return Case(name, cls, config, {"inputs": shape}, formula, **options)


def both_formats(name, cls, config, formula, shape=(2, 7, 5, 11), **options):
    """Returns the cases of a layer in both formats; see `one_format`."""
    last = one_format(f"{name}-last", cls, config, formula, shape, **options)
    first = one_format(
        f"{name}-first",
        cls,
        {**config, "data_format": "channels_first"},
        channels_first(formula),
        (shape[0], shape[-1], *shape[1:-1]),
        **{"dynamic": tuple(range(2, len(shape))), **options},
    )
    return [last, first]
