"""Sees the attention weights of Keras's own layers, which record nothing themselves.

While a recorder is open, the `call` of these classes is wrapped. The wrapped call runs
first and untouched, so that outputs stay equal bit by bit, fused kernels included; then
the layer is asked again for its weights alone. Other threads pass straight through.
"""

import contextlib
import contextvars
import functools
import inspect
import threading

import keras

LAYERS = (
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
)
_LOCK = threading.Lock()
_WRAPPED: dict = {}  # class -> its own `call`, or None where it inherits one
_OPEN: list = []  # one entry for each open recorder of any thread
_INSIDE: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "inside_keras_attention", default=False
)


@contextlib.contextmanager
def watch_keras_layers(wanted, take):
    """Within, Keras's attention layers hand over their weights.

    Args:
        wanted: Function without arguments: whether weights are wanted here and now.
        take: Function of a layer and its weights.
    """
    with _LOCK:
        _OPEN.append(None)
        if len(_OPEN) == 1:
            for cls in _classes():
                _WRAPPED[cls] = cls.__dict__["call"]
                cls.call = _wrap(_WRAPPED[cls], wanted, take)
    try:
        yield
    finally:
        with _LOCK:
            _OPEN.pop()
            while not _OPEN and _WRAPPED:
                cls, original = _WRAPPED.popitem()
                cls.call = original


def _classes():
    """Returns the classes that define a `call` with scores, subclasses of users too."""
    found, queue = [], list(LAYERS)
    while queue:
        cls = queue.pop()
        queue += cls.__subclasses__()
        own = cls.__dict__.get("call")
        if own and cls not in found:
            if "return_attention_scores" in inspect.signature(own).parameters:
                found.append(cls)
    return found


def _wrap(original, wanted, take):
    """Returns a `call` that runs the original, then hands over the weights."""

    @functools.wraps(original)
    def call(self, *args, **kwargs):
        tensors = keras.tree.flatten((args, kwargs))
        symbolic = any(isinstance(t, keras.KerasTensor) for t in tensors)
        if symbolic or _INSIDE.get() or not wanted():
            return original(self, *args, **kwargs)
        token = _INSIDE.set(True)
        try:
            outputs = original(self, *args, **kwargs)
            take(self, _weights(self, original, args, kwargs))
        finally:
            _INSIDE.reset(token)
        return outputs

    return call


def _weights(layer, call, args, kwargs):
    """Returns the weights of a call, before dropout, without a trace in the layer."""
    bound = inspect.signature(call).bind(layer, *args, **kwargs).arguments
    del bound["self"]
    more = bound.pop("kwargs", {})  # of a subclass's `**kwargs`
    asked = {**bound, **more, "return_attention_scores": True, "training": False}
    query_mask = asked.pop("query_mask", None)
    if query_mask is not None:  # the call itself takes it off the query
        query_mask = keras.ops.cast(query_mask, "bool")[..., None]
        given = asked.get("attention_mask")
        if given is not None:
            given = keras.ops.cast(given, "bool")
            if len(given.shape) > len(query_mask.shape):
                query_mask = keras.ops.expand_dims(query_mask, 1)
            query_mask = keras.ops.logical_and(query_mask, given)
        asked["attention_mask"] = query_mask
    # The scope keeps losses and seeds as they are.
    if isinstance(layer, keras.layers.GroupQueryAttention):
        return _ask_copy(layer, call, asked)  # its call notes on itself what was asked
    values = [(variable, variable.value) for variable in layer.variables]
    try:
        with keras.StatelessScope(values):
            return call(layer, **asked)[1]
    except ValueError as error:
        if "flash" not in str(error):
            raise
    return _ask_copy(layer, call, asked)


def _ask_copy(layer, call, asked):
    """Returns the weights that a copy gives, which has no fused kernel set."""
    copy = type(layer).from_config(layer.get_config())
    copy.build_from_config(layer.get_build_config())
    pairs = zip(copy.variables, layer.variables, strict=True)
    with keras.StatelessScope([(mine, theirs.value) for mine, theirs in pairs]):
        return call(copy, **asked)[1]
