"""Initializers, regularizers and constraints, in Keras's names, for any layer.

A layer keeps what it was given and hands it to its weights as they are made: to its own
in `add_weight`, to those of the layers inside as these become attributes.
"""

import keras

from attention_zoo.layers.core.validation import WEIGHT_ARGUMENTS

_GET = {
    "initializer": (keras.initializers.get, keras.initializers.serialize),
    "regularizer": (keras.regularizers.get, keras.regularizers.serialize),
    "constraint": (keras.constraints.get, keras.constraints.serialize),
}
# Keras's layers of a kernel and a bias, by what they call their kernel.
_DENSE = {
    keras.layers.Dense: "kernel",
    keras.layers.EinsumDense: "kernel",
    keras.layers.Conv1D: "kernel",
    keras.layers.Conv2D: "kernel",
    keras.layers.Conv3D: "kernel",
    keras.layers.DepthwiseConv1D: "depthwise",
    keras.layers.DepthwiseConv2D: "depthwise",
}


class WeightOptions(keras.layers.Layer):
    """Base of the layers whose weights take what Keras's dense layers take.

    A kernel is a weight that is called so or starts from `"glorot_uniform"`, a bias one
    that is called so; scales, temperatures and embeddings of positions are neither. A
    layer that lists one of the arguments itself keeps it to itself.

    Args:
        kernel_initializer: Initializer of the kernels. Defaults to `None`: the layer's.
        bias_initializer: Initializer of the biases. Defaults to `None`: the layer's.
        kernel_regularizer: Regularizer of the kernels. Defaults to `None`.
        bias_regularizer: Regularizer of the biases. Defaults to `None`.
        kernel_constraint: Constraint on the kernels. Defaults to `None`.
        bias_constraint: Constraint on the biases. Defaults to `None`.
    """

    weight_arguments: tuple[str, ...] = WEIGHT_ARGUMENTS  # () for no weights at all
    _weight_options: dict = {}

    def __init__(self, **kwargs):
        given = {name: kwargs.pop(name, None) for name in WEIGHT_ARGUMENTS}
        super().__init__(**kwargs)
        options = {n: _get(n, value) for n, value in given.items() if value is not None}
        if options:
            object.__setattr__(self, "_weight_options", options)

    def add_weight(self, shape=None, initializer=None, **kwargs):
        if self._weight_options and shape and kwargs.get("trainable", True):
            part = kind_of(kwargs.get("name") or "", initializer)
            for kind in _GET:
                own = fresh(self._weight_options.get(f"{part}_{kind}"))
                if own is None:
                    continue
                if kind == "initializer":
                    if initializer in (None, "glorot_uniform", "zeros"):
                        initializer = own
                else:
                    kwargs.setdefault(kind, own)
        return super().add_weight(shape=shape, initializer=initializer, **kwargs)

    def __setattr__(self, name, value):
        if self._weight_options and not name.startswith("__"):
            for layer in keras.tree.flatten(value):
                hand_on(self._weight_options, layer)
        super().__setattr__(name, value)

    def get_config(self):
        options = {
            name: _GET[name.split("_")[-1]][1](value)
            for name, value in self._weight_options.items()
        }
        return {**super().get_config(), **options}


def kind_of(name, initializer):
    """Returns `"kernel"` or `"bias"` for a weight, or None for one that is neither."""
    if "bias" in name:
        return "bias"
    plain = initializer in (None, "glorot_uniform")
    return "kernel" if "kernel" in name or plain else None


def hand_on(options, layer):
    """Gives the options to a layer, where it has none of its own, and to those inside.

    Args:
        options: Dict out of `WEIGHT_ARGUMENTS`.
        layer: Any object. A layer of another kind than those of this package and
            Keras's dense and convolution layers stays as it is.
    """
    if isinstance(layer, WeightOptions):
        own = {**options, **layer._weight_options}
        object.__setattr__(layer, "_weight_options", own)
        for value in list(vars(layer).values()):
            if isinstance(value, (list, tuple)):  # layers and weights that are there
                for inner in value:
                    hand_on(options, inner)
    elif isinstance(layer, keras.Variable):
        part = "bias" if "bias" in layer.name else "kernel"
        _set_weight(options, layer, part if part in layer.name else None)
    elif isinstance(layer, tuple(_DENSE)) and layer.built:
        for weight in layer.trainable_weights:
            part = "bias" if weight.name == "bias" else "kernel"
            _set_weight(options, weight, part)
    elif isinstance(layer, tuple(_DENSE)):
        called = next(n for cls, n in _DENSE.items() if isinstance(layer, cls))
        for name, value in options.items():
            attribute = name.replace("kernel", called)
            if "initializer" in name or getattr(layer, attribute) is None:
                setattr(layer, attribute, fresh(value))


def _set_weight(options, weight, part):
    """Gives the options for kernels or biases to a weight that is made already."""
    regularizer = options.get(f"{part}_regularizer")
    constraint = options.get(f"{part}_constraint")
    if not weight.trainable:
        return
    if regularizer is not None and weight.regularizer is None:
        weight.regularizer = regularizer
    if constraint is not None and weight.constraint is None:
        weight.constraint = constraint


def fresh(value):
    """Returns an initializer of its own: the same one would draw the same numbers."""
    if isinstance(value, keras.initializers.Initializer):
        return value.clone()
    return value


def _get(name, value):
    return _GET[name.split("_")[-1]][0](value)
