"""A trained classifier up to its head, and the same model with a fresh head."""

import keras

HEAD = "head"  # name of the last layer of the zoo's classifiers


def features(model):
    """Returns the part of a model before its head, with the model's own weights.

    1. Inputs are those of the model: raw texts or images, or token ids.
    2. Outputs are what the layer `"head"` receives, `(B, D)` for classifiers.

    Layers are shared with the model, so that training one changes the other.

    Args:
        model: `keras.Model`. A model of the zoo, from `attention_zoo.create` or
            `attention_zoo.load`.

    Returns:
        A `keras.Model` from the inputs of `model` to its features.

    Raises:
        ValueError: If the model has no layer called `"head"`.

    Example:

    ```python
    model = attention_zoo.create("attention_lstm", vocabulary_size=11, units=4)
    embed = attention_zoo.features(model)
    assert embed(np.array([[2, 3, 5]])).shape == (1, 8)
    ```
    """
    return _rebuilt(model, lambda head: head.input, f"{model.name}_features")


def replace_head(model, num_classes):
    """Returns a classifier with a fresh head, all else shared with the given one.

    Args:
        model: `keras.Model`. A classifier of the zoo.
        num_classes: Integer, at least 2. How many classes the new head tells apart.

    Returns:
        A `keras.Model` from the inputs of `model` to `(B, num_classes)`.

    Raises:
        ValueError: If `num_classes` is no integer of at least 2, or if the model does
            not end with a layer called `"head"`.
    """
    if not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(
            "Invalid value for argument `num_classes`. Expected an integer of at least "
            f"2. Received: num_classes={num_classes!r}"
        )
    core, head = _core_and_head(model)
    if head.output is not core.outputs[0]:
        raise ValueError(
            "Expected a classifier, a model that ends with its layer 'head'. "
            f"Received: model={model.name!r}, which ends with {core.layers[-1].name!r}"
        )

    def fresh(head):
        config = head.get_config() | {"units": num_classes}
        return type(head).from_config(config)(head.input)

    return _rebuilt(model, fresh, model.name)


def _rebuilt(model, end, name):
    """Returns a model that ends with `end(head)`, inside of the nested core if any."""
    core, head = _core_and_head(model)
    output = end(head)
    if core is model:
        return keras.Model(_inputs(model), output, name=name)
    *before, _ = model.operations
    inner = keras.Model(_inputs(core), output, name=core.name)
    return keras.Model(_inputs(model), inner(before[-1].output), name=name)


def _inputs(model):
    """Returns the input of a model, or the list of several."""
    return model.inputs[0] if len(model.inputs) == 1 else model.inputs


def _core_and_head(model):
    """Returns the model that holds the layers, maybe a nested one, and its head."""
    last = model.operations[-1] if hasattr(model, "operations") else None
    core = last if isinstance(last, keras.Model) else model
    head = next((layer for layer in core.layers if layer.name == HEAD), None)
    if head is None:
        raise ValueError(
            f"Expected a model with a layer called {HEAD!r}. "
            f"Received: model={model.name!r} with the layers "
            f"{[layer.name for layer in core.layers]}"
        )
    return core, head
