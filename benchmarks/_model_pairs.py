"""The models that race against PyTorch: their settings, data, losses and twins."""

import dataclasses
import importlib
import math
import types


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model of the race.

    Args:
        recipe: Name of the recipe whose settings it has.
        sizes: Dict of the arguments that the recipe's data decide.
        shape: What a row calls one example, a string.
        batch: Integer or None, of a step instead of the recipe's.
        alone: Whether inference is of one example at a time.
        tiny: Dict of arguments, instead of those above, for a smoke run.
    """

    recipe: str
    sizes: dict
    shape: str
    batch: int | None = None
    alone: bool = False
    tiny: dict = dataclasses.field(default_factory=dict)


WORDS, SENTENCE = 200, 16  # lengths of texts
VOCABULARIES = ("source_vocabulary_size", "target_vocabulary_size")
TINY_IMAGE = {"num_classes": 3, "input_shape": (8, 8, 1)}
TINY_SERIES = {"lookback": 8, "horizon": 5, "num_variates": 3}
TINY_BLOCKS = {"num_layers": 2, "num_heads": 2, "width": 8}
TINY_CELLS = {"embedding_dim": 5, "units": 3}


def _images(recipe, **tiny):
    """Returns the entry of a classifier of images."""
    sizes = {"num_classes": 10, "input_shape": (28, 28, 1)}
    tiny = TINY_IMAGE | tiny
    return Entry(f"{recipe}_fashion_mnist", sizes, "28x28x1", tiny=tiny)


def _series(recipe, lookback=96, **tiny):
    """Returns the entry of a forecaster."""
    sizes = {"lookback": lookback, "horizon": 720, "num_variates": 7}
    tiny = TINY_SERIES | tiny
    return Entry(f"{recipe}_etth1", sizes, f"{lookback}x7 to 720x7", tiny=tiny)


def _translator(recipe, batch=None, **tiny):
    """Returns the entry of a translator."""
    sizes, tiny = (
        dict.fromkeys(VOCABULARIES, 4000),
        dict.fromkeys(VOCABULARIES, 19) | tiny,
    )
    shape = f"{SENTENCE} to {SENTENCE} words"
    return Entry(f"{recipe}_multi30k", sizes, shape, batch, tiny=tiny)


ENTRIES = {
    "attention_lstm": Entry(
        "attention_lstm_imdb",
        {"vocabulary_size": 10_000},
        f"{WORDS} words",
        batch=64,
        alone=True,
        tiny={"vocabulary_size": 19, **TINY_CELLS},
    ),
    "cbam_resnet": _images("cbam_resnet", depth=14, width=16),
    "vision_transformer": _images("vision_transformer", **TINY_BLOCKS),
    "attention_forecaster": _series(
        "attention_forecaster", segment_length=2, step_length=2, units=3
    ),
    "inverted_transformer": _series("inverted_transformer", **TINY_BLOCKS),
    "patch_transformer": _series(
        "patch_transformer", 336, patch_length=4, stride=2, **TINY_BLOCKS
    ),
    "autocorrelation_forecaster": _series(
        "autocorrelation_forecaster", trend_length=3, **TINY_BLOCKS
    ),
    "rnn_translator": _translator("rnn_translator", **TINY_CELLS),
    "transformer_translator": _translator(
        "transformer_translator", 64, intermediate_dim=7, **TINY_BLOCKS
    ),
}


def settings(name, tiny=False):
    """Returns the kind of data, the batch size and the builder's arguments."""
    entry = ENTRIES[name]
    module = importlib.import_module(f"attention_zoo.recipes.{entry.recipe}")
    config = {**module.RECIPE.config, **entry.sizes, **(entry.tiny if tiny else {})}
    batch = 4 if tiny else entry.batch or module.RECIPE.batch_size
    return module.RECIPE.kind, batch, config


def make_data(kind, config, batch, tiny=False, padded=False):
    """Returns inputs, a list of arrays as the zoo takes them, and targets.

    Args:
        kind: String, the kind of the recipe.
        config: Dict of the builder's arguments.
        batch: Integer.
        tiny: Boolean. Whether texts are short.
        padded: Boolean. Whether texts end with padding, all but the first.
    """
    import numpy as np

    draw = np.random.default_rng(0)
    if kind == "images":
        shape = (batch, *config["input_shape"])
        pixels = draw.integers(256, size=shape, dtype="uint8")
        return [pixels], draw.integers(config["num_classes"], size=batch)
    if kind == "series":
        shapes = (
            (batch, config[length], config["num_variates"])
            for length in ("lookback", "horizon")
        )
        window, future = (draw.normal(size=s).astype("float32") for s in shapes)
        return [window], future

    def texts(vocabulary, length):
        ids = draw.integers(1, vocabulary, size=(batch, length), dtype="int32")
        lengths = np.maximum(length - np.arange(batch) % 4, 1)
        real = np.arange(length) < lengths[:, None]
        return np.where(real | (not padded), ids, 0).astype("int32")

    if kind == "text":
        ids = texts(config["vocabulary_size"], 5 if tiny else WORDS)
        return [ids], draw.integers(2, size=batch)
    length = 5 if tiny else SENTENCE
    keys = (*VOCABULARIES, VOCABULARIES[1])
    source, target, labels = (texts(config[key], length) for key in keys)
    return [source, target], labels.astype("int64")


def keras_loss(kind):
    """Returns the loss that ours trains with."""
    import keras

    from attention_zoo.recipes.tasks.translation.losses import TokenCrossEntropy

    if kind == "translation":
        return TokenCrossEntropy()
    if kind == "series":
        return keras.losses.MeanSquaredError()
    return keras.losses.SparseCategoricalCrossentropy()


def torch_loss(kind, outputs, targets):
    """Returns the same loss of what a twin gives."""
    from torch.nn import functional as F

    if kind == "translation":
        logits, ids = outputs.flatten(0, 1), targets.flatten()
        return F.cross_entropy(logits, ids, ignore_index=0)
    if kind == "series":
        return F.mse_loss(outputs, targets)
    return F.cross_entropy(outputs, targets)


def to_torch(kind, arrays):
    """Returns arrays as tensors; images `(B, H, W, C)` as `(B, C, H, W)`."""
    import torch

    tensors = [torch.from_numpy(array) for array in arrays]
    if kind == "images":
        tensors = [x.permute(0, 3, 1, 2).contiguous() for x in tensors]
    return tensors


def to_keras(arrays):
    """Returns arrays as tensors of the backend, one as it is."""
    from keras import ops

    tensors = [ops.convert_to_tensor(array) for array in arrays]
    return tensors if len(tensors) > 1 else tensors[0]


def predict(kind, twin, inputs):
    """Returns a twin's predictions as an array; it must be in `eval` mode."""
    import torch

    with torch.inference_mode():
        outputs = twin(*inputs)
        if kind in ("images", "text"):
            outputs = outputs.softmax(-1)
        return outputs.numpy()


def make_pair(name, config):
    """Returns our model and the twin with its weights, as many parameters checked."""
    import keras
    import torch

    import attention_zoo
    from benchmarks import _torch_blocks, _torch_models

    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    model = attention_zoo.create(name, **config)
    twin = _torch_models.TWINS[name](types.SimpleNamespace(**config))
    ours = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    theirs = _torch_blocks.count_parameters(twin)
    assert ours == theirs, f"{name}: {ours} parameters here, {theirs} in PyTorch"
    _torch_blocks.copy_weights(model.get_weights(), twin)
    return model, twin


def check_equal(kind, model, twin, arrays, targets, call):
    """Raises `AssertionError` where predictions or losses differ.

    Args:
        kind: String, the kind of the recipe.
        model: Keras model.
        twin: `nn.Module` with the same weights.
        arrays: List of inputs.
        targets: Array.
        call: Function of the model's inputs to predictions, ours.
    """
    import numpy as np
    import torch
    from keras import ops

    twin.eval()
    inputs = to_torch(kind, arrays)
    ours = ops.convert_to_numpy(call(to_keras(arrays)))
    theirs = predict(kind, twin, inputs)
    real = targets != 0 if kind == "translation" else slice(None)
    np.testing.assert_allclose(ours[real], theirs[real], rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        loss = torch_loss(kind, twin(*inputs), torch.from_numpy(targets))
    own = ops.convert_to_numpy(keras_loss(kind)(targets, ops.convert_to_tensor(ours)))
    np.testing.assert_allclose(own, loss, rtol=1e-4, atol=1e-4)
