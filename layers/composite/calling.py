"""Layers inside a composite: how any of them is made, called and masked.

Positions are all axes of a tensor but the channels; a mask covers the first of them.
"""

import dataclasses
from typing import Any

import keras
from keras import ops

from attention_zoo.layers.core.validation import check_mask
from attention_zoo.layers.registry import create_attention

OPTIONS = ("attention_mask", "use_causal_mask")


@dataclasses.dataclass(frozen=True)
class Given:
    """What a composite was called with, beside the query and its mask."""

    value: Any = None
    key: Any = None
    value_mask: Any = None
    key_mask: Any = None
    attention_mask: Any = None
    use_causal_mask: bool = False
    return_attention_scores: bool = False


def make_layers(owner, layers, policy):
    """Returns the layers that a composite is made of.

    Args:
        owner: Name of the composite's class, for messages.
        layers: List of what `make_layer` takes.
        policy: Dtype policy of the layers that are made by name.
    """
    if not isinstance(layers, (list, tuple)) or not layers:
        raise ValueError(
            f"Invalid value for argument `layers` of `{owner}`. Expected a list of at "
            f"least one layer. Received: layers={layers!r}"
        )
    made = [make_layer(owner, layer, policy) for layer in layers]
    if len({id(layer) for layer in made}) < len(made):
        raise ValueError(
            f"`{owner}` cannot hold one layer twice: a saved model would open as two. "
            f"Expected one layer object for each. Received: layers={layers!r}"
        )
    taken = {m.name for m, g in zip(made, layers, strict=True) if _kind(g) is None}
    for layer, given in zip(made, layers, strict=True):
        kind, count = _kind(given), 0
        while kind is not None and (kind if not count else f"{kind}_{count}") in taken:
            count += 1
        if kind is not None:
            layer.name = f"{kind}_{count}" if count else kind
            taken.add(layer.name)
    return made


def make_layer(owner, layer, policy):
    """Returns the layer that an argument of a composite stands for.

    Args:
        owner: Name of the composite's class, for messages.
        layer: A layer, a name for `create_attention`, a dict `{"name": ..., **config}`
            for the same, or a serialized layer. One made by name is called so.
        policy: Dtype policy of a layer that is made by name.
    """
    made, kind = layer, _kind(layer)
    if kind is not None:
        config = layer if isinstance(layer, dict) else {}
        config = {k: v for k, v in config.items() if k != "name"}
        made = create_attention(kind, **{"dtype": policy, **config})
        made.name = kind
    elif isinstance(layer, dict) and "class_name" in layer:
        made = keras.saving.deserialize_keras_object(layer)
    if not isinstance(made, keras.layers.Layer):
        raise ValueError(
            f"`{owner}` is made of attention layers. Expected a layer, a name for "
            '`create_attention`, or a dict `{"name": ..., **config}`. '
            f"Received: {layer!r}"
        )
    _check_inputs(owner, made)
    return made


def _kind(layer):
    """Returns the name to make a layer by, None where it is not made by name."""
    if isinstance(layer, dict) and "class_name" not in layer:
        layer = layer.get("name")
    return layer if isinstance(layer, str) else None


def _check_inputs(owner, layer):
    """Raises `ValueError` for a layer that needs inputs which no composite has."""
    if "states" in layer.call_signature_parameters:  # a recurrent cell
        raise ValueError(
            f"`{owner}` calls its layers on `(inputs)` or on `(query, value)`. "
            f"Expected layers that take no more. Received: {layer.name}, a "
            f"`{type(layer).__name__}`, which needs its states too"
        )


def takes_value(layer):
    """Whether a layer looks at a second sequence, be it in a layer inside it."""
    inner = getattr(layer, "takes_value", None)
    return "value" in layer.call_signature_parameters if inner is None else inner


def needs_value(layer):
    """Whether a layer cannot be called on one sequence alone."""
    takes = "value" in layer.call_signature_parameters
    return takes and getattr(layer, "needs_value", True)


def shared_data_format(owner, layers):
    """Returns the data format of the layers that have one, None if none has."""
    formats = {layer.name: getattr(layer, "data_format", None) for layer in layers}
    found = set(formats.values()) - {None}
    if len(found) > 1:
        raise ValueError(
            f"`{owner}` cannot mix data formats. Expected layers of one `data_format`. "
            f"Received: {formats}"
        )
    return found.pop() if found else None


def inner_shapes(layer, query, value, key):
    """Returns the shapes that a layer is called on, out of those of its composite."""
    if value is not None and takes_value(layer):
        return (query, value) if key is None else (query, value, key)
    return (query, query) if needs_value(layer) else (query,)


def call_layer(owner, layer, x, mask, given, data_format):
    """Calls a layer inside a composite.

    Args:
        owner: Name of the composite's class, for messages.
        layer: The layer.
        x: Tensor, the query or the inputs.
        mask: Boolean mask of `x`, or None.
        given: The `Given` of the composite's call.
        data_format: That of the composite.

    Returns:
        The output with zeros at padding, a tuple of its scores or of nothing, and its
        mask or None.
    """
    names = layer.call_signature_parameters
    arguments = {"query_mask" if "query_mask" in names else "mask": mask}
    if given.value is not None and takes_value(layer):
        for name in ("value", "key", "value_mask", "key_mask"):
            arguments[name] = getattr(given, name)
    elif needs_value(layer):
        arguments.update(value=x, value_mask=mask)
    for name in OPTIONS:
        option = getattr(given, name)
        if option is not None and option is not False:
            _check_takes(owner, layer, names, name)
            arguments[name] = option
    scored = given.return_attention_scores and "return_attention_scores" in names
    if scored:
        arguments["return_attention_scores"] = True
    arguments = {k: v for k, v in arguments.items() if k in names and v is not None}
    result = layer(x, **arguments)
    output, *scores = result if scored else (result,)
    mask = _mask_after(layer, x, output, mask, data_format)
    return apply_mask(output, mask, data_format), tuple(scores), mask


def _check_takes(owner, layer, names, option):
    """Raises where an attention would see what an option is there to hide."""
    attends = getattr(layer, "family", None) or "return_attention_scores" in names
    if attends and option not in names:
        raise ValueError(
            f"`{owner}` was called with `{option}`, which one of its attention layers "
            f"does not take. Expected layers that all do. Received: {layer.name}, a "
            f"`{type(layer).__name__}`"
        )


def positions(shape, data_format):
    """Returns the shape `(B, ..., C)` or `(B, C, ...)` without its channels."""
    if data_format == "channels_first":
        return (shape[0], *shape[2:])
    return tuple(shape[:-1])


def check_padding(owner, name, mask, shape, data_format):
    """Returns the mask of a query as boolean, or None; raises where it does not fit."""
    if mask is None:
        return None
    mask = ops.convert_to_tensor(mask)
    covered = positions(shape, data_format)[: max(2, len(mask.shape))]
    return check_mask(owner, name, mask, covered)


def _mask_after(layer, x, output, mask, data_format):
    """Returns the mask of what a layer made of `x`, None if its positions are gone."""
    if mask is not None and layer.supports_masking:
        mask = layer.compute_mask(x, mask)
    if mask is None:
        return None
    covered = positions(output.shape, data_format)
    if len(mask.shape) > len(covered):
        return None
    sizes = zip(mask.shape, covered, strict=False)
    fits = all(a is None or b is None or a in (1, b) for a, b in sizes)
    return mask if fits else None


def apply_mask(x, mask, data_format):
    """Returns `x` with zeros where its mask is False."""
    if mask is None:
        return x
    if data_format == "channels_first":
        mask = ops.expand_dims(mask, 1)
    missing = tuple(range(len(mask.shape), len(x.shape)))
    mask = ops.expand_dims(mask, missing) if missing else mask
    return ops.where(mask, x, ops.zeros_like(x))
