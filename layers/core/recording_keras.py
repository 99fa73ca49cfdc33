"""Sees the attention weights of Keras's own layers, which record nothing themselves.

The layer's call runs first and untouched, so that outputs stay equal bit by bit, fused
kernels included; then the layer is asked again, for its weights alone.
"""

import inspect

import keras

from attention_zoo.layers.core.recording_calls import around_calls

LAYERS = (
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
)


def watch_keras_layers(wanted, take, in_graph=lambda: False):
    """Returns a context in which Keras's attention layers hand over their weights.

    Args:
        wanted: Function without arguments: whether weights are wanted here and now.
        take: Function of a layer and its weights.
        in_graph: Function without arguments: whether the outputs must be computed from
            these very weights, for gradients. Defaults to False.
    """

    def around(call, layer, args, kwargs):
        arguments = _arguments(call, layer, args, kwargs)
        if not wanted() or arguments is None:
            return call(layer, *args, **kwargs)
        if in_graph():
            outputs, weights = _run(call, layer, arguments)
            take(layer, weights)
            both = arguments.get("return_attention_scores")
            return (outputs, weights) if both else outputs
        outputs = call(layer, *args, **kwargs)
        take(layer, _run(call, layer, _with_query_mask(arguments))[1])
        return outputs

    return around_calls(LAYERS, around)


def _arguments(call, layer, args, kwargs):
    """Returns the arguments of a call by name, or None if it returns no weights."""
    signature = inspect.signature(call)
    bound = dict(signature.bind(layer, *args, **kwargs).arguments)
    del bound[next(iter(signature.parameters))]
    variadic = [
        p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD
    ]
    for name in variadic:
        bound.update(bound.pop(name, {}))
    asked = "return_attention_scores" in signature.parameters or variadic
    return bound if asked else None


def _run(call, layer, arguments):
    """Returns outputs and weights, before dropout, and leaves no trace in the layer."""
    asked = {**arguments, "return_attention_scores": True, "training": False}
    values = [(variable, variable.value) for variable in layer.variables]
    # A grouped layer notes on itself what it was asked, which other threads may read.
    if not isinstance(layer, keras.layers.GroupQueryAttention):
        try:
            with keras.StatelessScope(values):  # losses and seeds stay as they are
                return call(layer, **asked)
        except ValueError as error:
            if "flash" not in str(error):
                raise
    copy = type(layer).from_config(layer.get_config())  # without a fused kernel
    copy.build_from_config(layer.get_build_config())
    pairs = zip(copy.variables, values, strict=True)
    with keras.StatelessScope([(mine, value) for mine, (_, value) in pairs]):
        return call(copy, **asked)


def _with_query_mask(arguments):
    """Returns arguments whose attention mask includes the mask of the queries.

    The first call took that mask off the query.
    """
    arguments = dict(arguments)
    query_mask = arguments.pop("query_mask", None)
    if query_mask is None:
        return arguments
    mask = keras.ops.cast(query_mask, "bool")[..., None]
    given = arguments.get("attention_mask")
    if given is not None:
        given = keras.ops.cast(given, "bool")
        if len(given.shape) > len(mask.shape):
            mask = keras.ops.expand_dims(mask, 1)
        mask = keras.ops.logical_and(mask, given)
    return {**arguments, "attention_mask": mask}
