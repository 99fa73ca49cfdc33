"""Where a layer's weights stand in a file."""


def saved_as(name):
    """Decorates a layer class whose weights are filed under another class's name.

    Keras files the weights of a layer under the name of its Python class, `__name__`,
    and not under its registered name. A class that replaces another one takes that
    name, so that each opens the weights of the other. Put it above
    `register_keras_serializable`, which otherwise registers the class under it too.

    Args:
        name: String, the `__name__` of the class that was saved.
    """

    def rename(cls):
        cls.__name__ = name
        return cls

    return rename
