"""The models of the zoo: `create` and `list_models` over one literal table."""

import fnmatch
import importlib
import inspect

from attention_zoo.layers.core.validation import suggest

# Name -> "module:function" of the builder, imported when the model is asked for.
MODELS = {
    "attention_convnet": "attention_zoo.models.attention_convnet:attention_convnet",
    "attention_forecaster": (
        "attention_zoo.models.attention_forecaster:attention_forecaster"
    ),
    "attention_lstm": "attention_zoo.models.attention_lstm:attention_lstm",
    "autocorrelation_forecaster": (
        "attention_zoo.models.autocorrelation_forecaster:autocorrelation_forecaster"
    ),
    "cbam_resnet": "attention_zoo.models.cbam_resnet:cbam_resnet",
    "inverted_transformer": (
        "attention_zoo.models.inverted_transformer:inverted_transformer"
    ),
    "patch_transformer": "attention_zoo.models.patch_transformer:patch_transformer",
    "rnn_translator": "attention_zoo.models.rnn_translator:rnn_translator",
    "transformer_translator": (
        "attention_zoo.models.transformer_translator:transformer_translator"
    ),
    "vision_transformer": "attention_zoo.models.vision_transformer:vision_transformer",
}


def list_models(pattern="*"):
    """Returns the sorted names of the models that match `pattern`.

    Args:
        pattern: String, a shell pattern such as `"*lstm*"`. Defaults to `"*"`.

    Returns:
        A sorted list of strings, each a name that `create` takes.

    Example:

    >>> attention_zoo.list_models("*translator")
    ['rnn_translator', 'transformer_translator']
    """
    return sorted(fnmatch.filter(MODELS, pattern))


def get_builder(name):
    """Returns the function that builds the model `name`.

    Args:
        name: A string, one of `list_models()`.

    Returns:
        A function that takes architecture arguments and returns an uncompiled
        functional `keras.Model`.

    Raises:
        ValueError: If the zoo has no model of this name.
    """
    if name not in MODELS:
        raise ValueError(
            f"Unknown model. Expected one of {list_models()}. "
            f"Received: name={name!r}{suggest(name, MODELS)}"
        )
    module, function = MODELS[name].split(":")
    return getattr(importlib.import_module(module), function)


def create(name, /, **config):
    """Builds a model of the zoo with fresh weights.

    Args:
        name: String, one of `list_models()`.
        **config: Arguments of the model's builder, which its docstring describes.

    Returns:
        An uncompiled functional `keras.Model`.

    Raises:
        ValueError: If the name or an argument is unknown, or if a required argument is
            missing.

    Example:

    ```python
    model = attention_zoo.create("attention_lstm", vocabulary_size=20000)
    assert model(np.array([[2, 3, 5]])).shape == (1, 2)
    ```
    """
    builder = get_builder(name)
    parameters = inspect.signature(builder).parameters
    for key in config:
        if key not in parameters:
            raise ValueError(
                f"Unknown argument for the model `{name}`. "
                f"Expected some of {list(parameters)}. "
                f"Received: {key}={config[key]!r}{suggest(key, parameters)}"
            )
    required = [k for k, p in parameters.items() if p.default is p.empty]
    missing = [key for key in required if key not in config]
    if missing:
        raise ValueError(
            f"Missing argument for the model `{name}`. "
            f"Expected {required}. Received: {sorted(config)}"
        )
    return builder(**config)
