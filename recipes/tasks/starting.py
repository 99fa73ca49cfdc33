"""Training that starts from a trained model: which weights it takes, what is frozen."""

import keras

from attention_zoo.heads import HEAD


def core_of(model):
    """Returns the part of a loaded model that is trained: a nested model, or all."""
    last = model.operations[-1]
    return last if isinstance(last, keras.Model) else model


def shared_layers(source, model):
    """Returns pairs of layers with weights of the same name and shapes, but no head.

    Args:
        source: The core of the trained model.
        model: A core model.
    """
    known = {layer.name: layer for layer in source.layers}
    pairs = [(known[own.name], own) for own in model.layers if own.name in known]
    return [
        (theirs, own)
        for theirs, own in pairs
        if own.weights and own.name != HEAD and _shapes(theirs) == _shapes(own)
    ]


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]


def copy_weights(source, model):
    """Gives a fresh model the weights of the layers that it shares with a trained one.

    Returns:
        List of the names of the layers that have them.
    """
    pairs = shared_layers(source, model)
    for theirs, own in pairs:
        own.set_weights(theirs.get_weights())
    return [own.name for _, own in pairs]


class Freeze(keras.callbacks.Callback):
    """Keeps layers as they are for the first epochs, on TensorFlow.

    Args:
        layers: List of layers.
        epochs: Integer, after how many epochs they are trained too.
    """

    def __init__(self, layers, epochs):
        super().__init__()
        self.layers, self.epochs = layers, epochs

    def on_epoch_begin(self, epoch, logs=None):
        trainable = epoch >= self.epochs
        if all(layer.trainable is trainable for layer in self.layers):
            return
        for layer in self.layers:
            layer.trainable = trainable
        self.model.make_train_function(force=True)

    def on_train_end(self, logs=None):
        for layer in self.layers:
            layer.trainable = True
