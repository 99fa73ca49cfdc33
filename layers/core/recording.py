"""See the attention weights of any model without touching the model."""

import contextlib
import contextvars
import dataclasses

import keras
import numpy as np

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
    """

    layer_name: str
    layer: keras.layers.Layer
    weights: np.ndarray


@contextlib.contextmanager
def record_attention():
    """Collects the weights of every attention layer that is called inside.

    ```python
    with record_attention() as records:
        model(inputs, training=False)
    for record in records:
        print(record.layer_name, record.weights.shape)
    ```

    Yields:
        A list that fills with `AttentionRecord`s in the order of the calls.

    Raises:
        RuntimeError: when a layer runs inside a compiled function, where weights have
            no values yet; call `model(inputs)` instead of `model.predict(inputs)`.
    """
    records = []
    token = _RECORDS.set(records)
    try:
        yield records
    finally:
        _RECORDS.reset(token)


def recording():
    """Whether a recorder is open, so that weights are wanted."""
    return _RECORDS.get() is not None


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
    if records is None or isinstance(weights, keras.KerasTensor):
        return
    try:
        array = keras.ops.convert_to_numpy(weights)
    except (NotImplementedError, TypeError) as error:
        raise RuntimeError(
            "`record_attention` sees eager calls only, and "
            f"'{layer.name}' was called inside a compiled function. Call "
            "`model(inputs)` instead of `model.predict(inputs)`."
        ) from error
    records.append(AttentionRecord(layer.name, layer, array))
