"""Argument checks that raise in Keras's form: wrong, expected, `Received`."""

import difflib
import inspect
import math
import numbers

import keras

# What every Keras layer takes.
KERAS_ARGUMENTS = ("activity_regularizer", "autocast", "dtype", "name", "trainable")
# What Keras's dense layers take, and every layer with a kernel or a bias here.
WEIGHT_ARGUMENTS = (
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "bias_constraint",
)


def check_arguments(cls, arguments):
    """Raises `ValueError` for arguments that `cls` does not list and Keras has not.

    Args:
        cls: Class of a layer.
        arguments: Dict of what its constructor received beside what it lists.
    """
    more = (*KERAS_ARGUMENTS, *getattr(cls, "weight_arguments", ()))
    unknown = [name for name in arguments if name not in more]
    if not unknown:
        return
    known = list(dict.fromkeys([*(p.name for p in _listed(cls)), *more]))
    received = (f"{n}={arguments[n]!r}{suggest(n, known)}" for n in unknown)
    raise ValueError(
        f"Unknown arguments of `{cls.__name__}`. Expected some of {known}. "
        f"Received: {', '.join(received)}"
    )


def missing_arguments(cls, arguments):
    """Returns the names of the arguments that `cls` requires and `arguments` lacks."""
    required = [p.name for p in _listed(cls) if p.default is p.empty]
    return [name for name in required if name not in arguments]


def _listed(cls):
    """Returns the parameters that a class lists in its constructor."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return [p for p in parameters if p.kind is not p.VAR_KEYWORD]


def check_number(
    owner, *, minimum=None, above=None, maximum=None, below=None, **arguments
):
    """Raises `ValueError` unless every argument is a finite number within bounds.

    Booleans and strings are no numbers; those of NumPy are.

    Args:
        owner: Name of the layer, for the message.
        minimum: Number that the arguments may reach and not pass, or None.
        above: Number that the arguments must be above, or None.
        maximum: Number that the arguments may reach and not pass, or None.
        below: Number that the arguments must be below, or None.
        **arguments: Values to check, by name.
    """
    for name, value in arguments.items():
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        fits = (
            number
            and math.isfinite(value)
            and (minimum is None or value >= minimum)
            and (above is None or value > above)
            and (maximum is None or value <= maximum)
            and (below is None or value < below)
        )
        if not fits:
            bounds = [
                f"{word} {bound}"
                for word, bound in (
                    ("of at least", minimum),
                    ("above", above),
                    ("of at most", maximum),
                    ("below", below),
                )
                if bound is not None
            ]
            kind = "a finite number" if number and math.isinf(value) else "a number"
            expected = " ".join([kind, " and ".join(bounds)]).strip()
            raise ValueError(
                f"Invalid value for argument `{name}` of `{owner}`. "
                f"Expected {expected}. Received: {name}={value!r}"
            )


def is_integer(value):
    """Whether `value` is an integer of Python or NumPy, and not a boolean."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_positive_integer(owner, **arguments):
    """Raises `ValueError` unless every argument is an integer of at least 1."""
    for name, value in arguments.items():
        if not is_integer(value) or value < 1:
            raise ValueError(
                f"Invalid value for argument `{name}` of `{owner}`. "
                f"Expected a positive integer. Received: {name}={value!r}"
            )


def check_optional_integers(owner, **arguments):
    """Raises `ValueError` unless every argument is None or an integer of at least 1."""
    given = {name: value for name, value in arguments.items() if value is not None}
    check_positive_integer(owner, **given)


def check_positive_number(owner, **arguments):
    """Raises `ValueError` unless every argument is a number above 0."""
    check_number(owner, above=0, **arguments)


def check_rate(owner, **arguments):
    """Raises `ValueError` unless every argument is a number in `[0, 1)`."""
    for name, value in arguments.items():
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not number or not 0 <= value < 1:
            raise ValueError(
                f"Invalid value for argument `{name}` of `{owner}`. "
                f"Expected a number in [0, 1). Received: {name}={value!r}"
            )


def check_choice(owner, choices, **arguments):
    """Raises `ValueError` unless every argument is in the closed set `choices`."""
    for name, value in arguments.items():
        if value not in choices:
            raise ValueError(
                f"Invalid value for argument `{name}` of `{owner}`. Expected one of "
                f"{list(choices)}. Received: {name}={value!r}{suggest(value, choices)}"
            )


def suggest(name, choices):
    """Returns ` (did you mean 'x'?)` when a choice is near `name`, else nothing."""
    near = difflib.get_close_matches(str(name), [str(c) for c in choices], n=3)
    return f" (did you mean {' or '.join(repr(n) for n in near)}?)" if near else ""


def check_rank(owner, rank, **shapes):
    """Raises `ValueError` unless every shape has `rank` dimensions."""
    for name, shape in shapes.items():
        if len(shape) != rank:
            raise ValueError(
                f"`{owner}` expects `{name}` of rank {rank}. "
                f"Received: {name}.shape={tuple(shape)}"
            )


def check_attention_shapes(owner, query, value, key):
    """Raises `ValueError` unless shapes are (B, Tq, Dq), (B, Tv, Dv), (B, Tv, Dk)."""
    check_rank(owner, 3, query=query, value=value, key=key)
    described = (
        f"Received: query.shape={tuple(query)}, value.shape={tuple(value)}, "
        f"key.shape={tuple(key)}"
    )
    if not _agree(query[0], value[0]) or not _agree(query[0], key[0]):
        raise ValueError(
            f"`{owner}` expects `query`, `value` and `key` of one batch size. "
            f"{described}"
        )
    if not _agree(value[1], key[1]):
        raise ValueError(
            f"`{owner}` expects `value` and `key` of one length. {described}"
        )


def check_mask(owner, name, mask, shape):
    """Raises unless `mask` is boolean or integer and fits `shape`; returns it as bool.

    Args:
        owner: Name of the layer, for the message.
        name: Name of the argument, for the message.
        mask: Tensor or None.
        shape: Tuple the mask must match; None stands for any size, and a
            dimension of 1 in the mask broadcasts.

    Returns:
        The mask as a boolean tensor, or None.
    """
    if mask is None:
        return None
    mask = keras.ops.convert_to_tensor(mask)
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype != "bool" and "int" not in dtype:
        raise ValueError(
            f"`{owner}` expects `{name}` of a boolean or integer dtype, True where a "
            f"position may be seen. Received: {name}.dtype={dtype}"
        )
    received = tuple(mask.shape)
    fits = len(received) == len(shape) and all(
        a == 1 or _agree(a, b) for a, b in zip(received, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"`{owner}` expects `{name}` of shape {shape}. "
            f"Received: {name}.shape={received}"
        )
    return keras.ops.cast(mask, "bool")


def _agree(a, b):
    return a is None or b is None or a == b
