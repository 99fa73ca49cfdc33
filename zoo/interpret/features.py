"""The first floats of a model, and its output as a function of them: for gradients."""

from typing import Any

import keras
import numpy as np
from keras import ops

from attention_zoo.kernels.gradients import gradient, inner_gradients
from attention_zoo.layers.core.recording import trace_attention
from attention_zoo.layers.core.recording_calls import around_calls


class Features:
    """What a layer makes of a model's inputs, and the outputs as a function of it.

    Args:
        model: The model.
        inputs: A batch as the model takes it.
        score: Function of the model's outputs that returns a tensor `(B,)`.
        classes: Tuple of layer classes: the features are the outputs of the first call
            of one of them that fits. Defaults to `None`, the inputs are the features.
        fits: Function of a layer and its first argument: whether it is the one.
            Defaults to `None`, any is.

    Attributes:
        values: Float array of the features, or None if no layer fits.
    """

    def __init__(self, model, inputs, score, classes=None, fits=None):
        self._model, self._inputs, self._score = model, inputs, score
        self._classes, self._fits = classes, fits
        self.values: Any = None
        if classes is None:
            self.values = np.asarray(inputs, dtype="float32")
        else:
            self._run(None)

    def score(self, values):
        """Returns the score `(B,)` for features as a tensor."""
        return self._score(self._run(values))

    def gradient(self, values=None):
        """Returns the gradient of the score at features; by default at the own.

        Args:
            values: Array of one batch of features, or of several one after the other.
        """
        return gradient(self.score, self.values if values is None else values)

    def attention_gradients(self, fits):
        """Returns the weights of attention layers and the score's gradients by these.

        A layer with `score=None` is a mean, which has learned to look at nothing.

        Args:
            fits: Function of a layer and the shape of its weights: whether they are
                wanted.
        """

        def run(values):
            with trace_attention() as pairs:
                score = self.score(values)
            learned = [p for p in pairs if getattr(p[0], "score", "") is not None]
            return score, [w for one, w in learned if fits(one, tuple(w.shape))]

        return inner_gradients(run, self.values)

    def _run(self, values):
        """Returns the model's outputs for features, or for its own with None."""
        if self._classes is None:
            return self._model(values, training=False)
        seen = []

        def around(call, layer, args, kwargs):
            outputs = call(layer, *args, **kwargs)
            first = next(iter((*args, *kwargs.values())))
            if seen or not (self._fits is None or self._fits(layer, first)):
                return outputs
            seen.append(layer)
            if values is None:
                self.values = np.asarray(ops.convert_to_numpy(outputs), dtype="float32")
                return outputs
            return ops.cast(values, outputs.dtype)

        inputs = self._inputs
        if values is not None and len(values) != len(self.values):
            rows = np.arange(len(values)) % len(self.values)
            inputs = ops.take(inputs, rows, axis=0)
        with around_calls(self._classes, around):
            outputs = self._model(inputs, training=False)
        if values is not None and not seen:
            raise RuntimeError(
                f"{self._model.name!r} did not call again the layer that it called "
                "first, so that there is no gradient by its outputs"
            )
        return outputs


def class_score(own):
    """Returns the score of a classifier: the probability of one class of each input.

    Args:
        own: Integer array `(B,)`. The outputs may be those of several batches, one
            after the other.
    """

    def score(outputs):
        best = np.resize(own, outputs.shape[0])
        outputs = ops.cast(outputs, "float32")
        if outputs.shape[-1] == 1:
            return ops.where(
                ops.convert_to_tensor(best == 1), outputs[:, 0], 1 - outputs[:, 0]
            )
        return ops.sum(outputs * ops.one_hot(best, outputs.shape[-1]), axis=-1)

    return score


def last_map(model, inputs):
    """Returns the last layer with a map `(B, h, w, C)` as output, or None.

    In a model that is no graph it is the last convolution that is called.
    """
    found = None
    if getattr(model, "inputs", None):
        for layer in all_layers(model):
            if not isinstance(layer, keras.Model) and hasattr(layer, "output"):
                shapes = [t.shape for t in keras.tree.flatten(layer.output)]
                if len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] != 1:
                    found = layer
        return found
    calls = []

    def around(call, layer, args, kwargs):
        calls.append(layer)
        return call(layer, *args, **kwargs)

    with around_calls((keras.layers.Conv2D, keras.layers.DepthwiseConv2D), around):
        model(inputs, training=False)
    return calls[-1] if calls else None


def all_layers(model):
    """Yields every layer of a model, those of nested models too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
