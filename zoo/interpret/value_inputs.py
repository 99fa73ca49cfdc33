"""What attention layers take as their values, for methods that weigh these too."""

import keras
import numpy as np

from attention_zoo.interpret.base import is_learned
from attention_zoo.interpret.methods.value_norm import value_norms, values_of_heads
from attention_zoo.layers.core.recording_calls import around_calls


def norms_of_records(model, inputs, records):
    """Returns `value_norms` of attention layers.

    Args:
        model: The model.
        inputs: The batch that the records are of.
        records: List of `AttentionRecord`s of sequences.

    Returns:
        List of arrays `(B, Tq, T)`, or None for a layer whose values are not as many
        as its weights.
    """
    calls: dict = {}

    def around(call, layer, args, kwargs):
        calls.setdefault(id(layer), []).append(_value(args, kwargs))
        return call(layer, *args, **kwargs)

    classes = tuple({type(record.layer) for record in records})
    if not classes:
        return []
    with around_calls(classes, around):
        model(inputs, training=False)
    found = []
    for record in records:
        taken = calls.get(id(record.layer), [])
        found.append(_norms(record, taken.pop(0)) if taken else None)
    return found


def norms_of_last(model, inputs, records):
    """Returns the norms `(B, Tq, T)` of the last layer, a learned one if there is one.

    None stands for layers of which none has any. The arguments are those of
    `norms_of_records`.
    """
    norms = norms_of_records(model, inputs, records)
    pairs = [
        (is_learned(record), norm)
        for record, norm in zip(records, norms, strict=True)
        if norm is not None
    ]
    learned = [norm for is_one, norm in pairs if is_one]
    return (learned or [norm for _, norm in pairs] or [None])[-1]


def _norms(record, value):
    """Returns the norms of one call, or None where the values are of other things."""
    weights = np.asarray(record.weights, "float64")
    weights = {2: lambda w: w[:, None, None], 3: lambda w: w[:, None]}.get(
        weights.ndim, lambda w: w
    )(weights)  # (B, H, Tq, T)
    inputs = keras.ops.convert_to_numpy(value)
    if inputs.ndim != 3 or weights.shape[-1] != inputs.shape[1]:
        return None
    kernels = _kernels(record.layer)
    output = kernels.get("attention_output/kernel")
    given = None
    if "value/kernel" in kernels:
        given = kernels["value/kernel"], kernels.get("value/bias", 0.0)
        given = given[0], np.broadcast_to(given[1], given[0].shape[1:])
    return value_norms(
        weights, values_of_heads(inputs, given, output, heads=weights.shape[1])
    )


def _kernels(layer):
    """Returns the weights of a layer's own parts in float64, by the end of their path.

    Keras's layers and those of this package name their projections alike.
    """
    names = ("value/kernel", "value/bias", "attention_output/kernel")
    return {
        name: np.asarray(keras.ops.convert_to_numpy(weight), "float64")
        for weight in layer.weights
        for name in names
        if weight.path.endswith(f"/{name}")
    }


def _value(args, kwargs):
    """Returns what a layer was given as its value: the second tensor, or the only."""
    first = args[0] if args else next(iter(kwargs.values()))
    if isinstance(first, (list, tuple)):
        return first[min(1, len(first) - 1)]
    if "value" in kwargs:
        return kwargs["value"]
    second = args[1] if len(args) > 1 else None
    return second if len(getattr(second, "shape", ())) == 3 else first
