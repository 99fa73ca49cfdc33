"""See the attention weights of any model without touching the model."""

import contextlib
import contextvars
import dataclasses

import keras
import numpy as np

from attention_zoo.layers.core.recording_keras import watch_keras_layers

_RECORDS: contextvars.ContextVar[list | None] = contextvars.ContextVar(
    "attention_records", default=None
)


@dataclasses.dataclass(frozen=True)
class AttentionRecord:
    """The weights that one attention layer used in one call.

    Attributes:
        layer_name: Name of the layer.
        layer: The layer.
        weights: NumPy array of the weights, in the shape the layer documents.
        path: Where the layer stands in its model, as in `"block_0/self_attention"`.
            It tells layers of one name apart.
    """

    layer_name: str
    layer: keras.layers.Layer
    weights: np.ndarray
    path: str = ""


class _Tensors(list):
    """Pairs of a layer and its weights as the tensor it is."""


@contextlib.contextmanager
def record_attention():
    """Collects the weights of every attention layer that is called inside.

    It sees the layers of this package and Keras's own: `MultiHeadAttention`,
    `GroupQueryAttention`, `Attention`, `AdditiveAttention` and subclasses of them,
    wherever they stand in a model, with the weights of each head and before dropout.
    The model stays as it is and its outputs are the same bit by bit; where a fused
    kernel runs in Keras's layers, the weights are computed beside it. Threads record
    apart from each other.

    Compiled functions have no weights to show. `model.predict` and functions under
    `tf.function` or `jax.jit` record when they run eagerly: within
    `tf.config.run_functions_eagerly(True)` or `jax.disable_jit()`. A function that was
    compiled before the block runs unseen.

    Yields:
        A list that fills with `AttentionRecord`s in the order of the calls.

    Raises:
        RuntimeError: If a layer runs inside a function that is being compiled, where
            weights have no values; call `model(inputs)` instead of
            `model.predict(inputs)`.

    Example:

    ```python
    layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=3)
    x = np.random.rand(1, 5, 7)
    with layers.record_attention() as records:
        layer(x, x)
    assert records[0].weights.shape == (1, 2, 5, 5)
    assert np.allclose(records[0].weights.sum(axis=-1), 1)
    ```
    """
    records: list = []
    token = _RECORDS.set(records)
    try:
        with watch_keras_layers(_wanted, record):
            yield records
    finally:
        _RECORDS.reset(token)


@contextlib.contextmanager
def trace_attention():
    """Collects pairs of a layer and its weights as tensors, for their gradients.

    Within, Keras's layers compute their outputs from these weights by their plain
    formula, so that outputs may differ from a fused kernel's by rounding.
    """
    records = _Tensors()
    token = _RECORDS.set(records)
    try:
        with watch_keras_layers(_wanted, record, in_graph=lambda: True):
            yield records
    finally:
        _RECORDS.reset(token)


def recording():
    """Whether a recorder is open, so that weights are wanted."""
    return _RECORDS.get() is not None


def _wanted():
    return recording() and not building()


@contextlib.contextmanager
def pause_recording():
    """Within, no recorder is open: for a layer that records for those inside it."""
    token = _RECORDS.set(None)
    try:
        yield
    finally:
        _RECORDS.reset(token)


def record(layer, weights):
    """Hands `weights` to the open recorder; does nothing when there is none."""
    records = _RECORDS.get()
    if records is None or isinstance(weights, keras.KerasTensor) or building():
        return
    if isinstance(records, _Tensors):
        records.append((layer, weights))
        return
    try:
        array = keras.ops.convert_to_numpy(weights)
    except (NotImplementedError, TypeError) as error:
        raise RuntimeError(
            "`record_attention` sees eager calls only, and "
            f"'{layer.name}' was called inside a compiled function. Call "
            "`model(inputs)` instead of `model.predict(inputs)`."
        ) from error
    records.append(AttentionRecord(layer.name, layer, array, layer.path or layer.name))


def building():
    """Whether Keras calls layers with made-up inputs, to build them."""
    with keras.SymbolicScope() as scope:
        return scope.original_scope is not None
