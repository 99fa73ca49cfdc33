"""Runs a function around the calls of whole classes of layers, for a while."""

import contextlib
import contextvars
import functools
import threading

import keras

_LOCK = threading.Lock()
_WRAPPED: dict = {}  # class -> its own `call` and how many blocks want it wrapped
_AROUND: contextvars.ContextVar[tuple] = contextvars.ContextVar("around", default=())
_INSIDE: contextvars.ContextVar[tuple] = contextvars.ContextVar("inside", default=())


@contextlib.contextmanager
def around_calls(classes, around):
    """Within, `around` runs in place of each `call` of the classes and subclasses.

    Only the thread (or task) that opens the block is concerned, and each call once,
    also where a subclass calls its parent's `call`. Of nested blocks for one class the
    innermost acts. No class stays wrapped once no block is open.

    Args:
        classes: Tuple of subclasses of `keras.layers.Layer`.
        around: Function `(call, layer, args, kwargs)` that returns the outputs; `call`
            is the class's own, `call(layer, *args, **kwargs)`.
    """
    owners = [_owner(cls) for cls in _family(classes)]
    found = list(dict.fromkeys(owners))
    with _LOCK:
        for cls in found:
            original, count = _WRAPPED.get(cls, (vars(cls)["call"], 0))
            if not count:
                cls.call = _wrap(original)
            _WRAPPED[cls] = original, count + 1
    token = _AROUND.set(((classes, around), *_AROUND.get()))
    try:
        yield
    finally:
        _AROUND.reset(token)
        with _LOCK:
            for cls in found:
                original, count = _WRAPPED.pop(cls)
                if count > 1:
                    _WRAPPED[cls] = original, count - 1
                else:
                    cls.call = original


def _family(classes):
    """Returns classes and all subclasses of them, each once."""
    found, queue = [], list(classes)
    while queue:
        cls = queue.pop()
        queue += cls.__subclasses__()
        if cls not in found:
            found.append(cls)
    return found


def _owner(cls):
    """Returns the class that a class has its `call` from."""
    return next(parent for parent in cls.__mro__ if "call" in vars(parent))


def _wrap(original):
    """Returns a `call` that the innermost `around` of its class takes over."""

    @functools.wraps(original)
    def call(self, *args, **kwargs):
        around = next(
            (a for classes, a in _AROUND.get() if isinstance(self, classes)), None
        )
        inside = _INSIDE.get()
        if around is None or id(self) in inside or _symbolic(args, kwargs):
            return original(self, *args, **kwargs)
        token = _INSIDE.set((*inside, id(self)))
        try:
            return around(original, self, args, kwargs)
        finally:
            _INSIDE.reset(token)

    return call


def _symbolic(args, kwargs):
    """Returns whether a model is being built from these arguments."""
    tensors = keras.tree.flatten((args, kwargs))
    return any(isinstance(tensor, keras.KerasTensor) for tensor in tensors)
