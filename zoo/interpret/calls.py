"""Calls of the models that are explained, and what their inputs are."""

import keras
import numpy as np

from attention_zoo.interpret.methods.gradient import saliency
from attention_zoo.interpret.methods.gradient_x_input import gradient_times_input
from attention_zoo.interpret.methods.integrated_gradients import integrated_gradients
from attention_zoo.layers import record_attention

STEPS = 32  # of integrated gradients
ROWS, SIZE = 128, 1_000_000  # of a call that takes the gradients of several steps


class MethodError(ValueError):
    """A method of explanation that does not exist, or not for this model."""


class NoAttentionError(MethodError):
    """A model that has no attention weights to show."""


def predict_with_attention(model, inputs):
    """Calls a model once and returns its probabilities and its attention.

    Args:
        model: A `keras.Model` with class probabilities as output.
        inputs: A batch as one tensor or array.

    Returns:
        A pair: an array `(B, C)`, with both classes where the model has one sigmoid
        output; and a dict to `AttentionRecord` from where the layer stands in the
        model, as in `block_0/attention`. A layer that is called again counts on:
        `attention`, `attention_2`.
    """
    outputs, records = call_with_attention(model, inputs)
    return class_probabilities(outputs), records


def call_with_attention(model, inputs):
    """Calls a model once and returns its output as an array, and its attention.

    The attention is a dict as `predict_with_attention` returns it.
    """
    with record_attention() as calls:
        outputs = model(inputs, training=False)
    records: dict = {}
    for record in calls:
        path = record.path.removeprefix(f"{model.name}/")
        name, count = path, 1
        while name in records:
            count += 1
            name = f"{path}_{count}"
        records[name] = record
    return keras.ops.convert_to_numpy(outputs), records


def class_probabilities(outputs):
    """Returns outputs `(B, C)` as an array; one sigmoid column becomes two classes."""
    probabilities = keras.ops.convert_to_numpy(outputs)
    if probabilities.shape[-1] == 1:
        probabilities = np.concatenate([1 - probabilities, probabilities], axis=-1)
    return probabilities


def looked_at(model, records):
    """Returns in words which layers of a model were looked at."""
    if records:
        shapes = {name: r.weights.shape for name, r in records.items()}
        return f"weights of the shapes {shapes}"
    names = [layer.name for layer in getattr(model, "layers", [])]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"no attention layer among {names[:12]}{more}"


def predict_batch(model, batch):
    """Returns the outputs of one batch; a model that is no graph is called as it is."""
    if getattr(model, "inputs", None):
        return model.predict_on_batch(batch)
    return keras.ops.convert_to_numpy(model(batch, training=False))


def by_gradient(method, features, baseline=0.0):
    """Returns what a gradient method says of each position of `Features`.

    Args:
        method: `"gradient"`, `"gradient_x_input"` or `"integrated_gradients"`.
        features: The `Features`.
        baseline: Array that stands for nothing. Defaults to zero.
    """
    if method == "gradient":
        return saliency(features.gradient())
    if method == "gradient_x_input":
        return gradient_times_input(features.gradient(), features.values, baseline)
    values = features.values
    rows, size = max(len(values), 1), max(values.size, 1)
    at_once = max(1, min(STEPS, ROWS // rows, SIZE // size))
    return integrated_gradients(features.gradient, values, baseline, STEPS, at_once)


def needs_weights(explanation, weights, gradients=None):
    """Checks that there are attention weights for a method, and that they matter.

    Raises:
        NoAttentionError: If there are none.
    """
    if not weights:
        raise NoAttentionError(
            f"method={explanation.method!r} needs attention weights of positions. "
            f"Received: {looked_at(explanation.model, explanation.records)}. Gradient "
            "methods, such as method='integrated_gradients', need none"
        )
    if gradients is not None and not any(one.any() for one in gradients):
        raise NoAttentionError(
            f"method={explanation.method!r} needs attention layers whose output is "
            "computed from the weights that they record. Received: "
            f"model={explanation.model.name!r}, whose output has no gradient by them"
        )


def only_input(model, inputs=None):
    """Returns the symbolic input of a model, or None if it has several or none.

    Args:
        model: The model.
        inputs: A batch, which tells of the input where the model is no graph. Defaults
            to `None`.
    """
    declared = getattr(model, "inputs", None)
    if declared is None and inputs is not None:
        if isinstance(inputs, (str, bytes)):
            return keras.KerasTensor((None,), dtype="string")
        try:
            array = np.asarray(inputs)
        except ValueError:
            return None
        dtype = "string" if array.dtype.kind in "USOT" else str(array.dtype)
        return keras.KerasTensor((None, *array.shape[1:]), dtype=dtype)
    tensors = keras.tree.flatten(declared or [])
    return tensors[0] if len(tensors) == 1 else None
