"""Models of one layer or two, one for each kind of task: they stand for real ones."""

import keras
from keras import ops

from attention_zoo.models._translation import TranslationModel

layers = keras.layers


def tiny_model(recipe, pipeline, run=None):
    """Stands for `trainer.build`; takes the arguments that it has."""
    model = MODELS[recipe.kind](recipe, pipeline.model_config())
    if run is not None:
        model.set_weights(run.weights)
    return model


def of_words(recipe, config):
    """Word vectors, dropout, their mean, one layer."""
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(config["vocabulary_size"], 3, mask_zero=True)(ids)
    x = layers.Dropout(recipe.config["dropout"])(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(ids, layers.Dense(2, activation="softmax")(x))


def of_pixels(recipe, config):
    """A convolution, batch normalization, dropout, the mean, one layer."""
    pixels = keras.Input(config["input_shape"], dtype="uint8")
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.BatchNormalization()(layers.Conv2D(3, 3)(x))
    x = layers.GlobalAveragePooling2D()(layers.Dropout(0.1)(x))
    classes = layers.Dense(config["num_classes"], activation="softmax")(x)
    return keras.Model(pixels, classes)


def of_series(recipe, config):
    """Dropout and one layer over the whole past."""
    past = keras.Input((config["lookback"], config["num_variates"]))
    shape = (config["horizon"], config["num_variates"])
    if recipe.config["quantiles"] is not None:
        shape += (len(recipe.config["quantiles"]),)
    x = layers.Dropout(0.1)(layers.Flatten()(past))
    x = layers.Dense(shape[0] * shape[1] * (shape[2:] or (1,))[0])(x)
    return keras.Model(past, layers.Reshape(shape)(x))


@keras.saving.register_keras_serializable("tests")
class TinyTranslator(TranslationModel):
    """The last word and the mean of the source, one layer."""

    @staticmethod
    def _connect(source, target, dtype, source_vocabulary_size, **config):
        size = config["target_vocabulary_size"]
        read = layers.Embedding(source_vocabulary_size, 3, name="read")(source)
        mean = layers.GlobalAveragePooling1D(keepdims=True)(read)
        last = layers.Embedding(size, 3, name="last")(target)
        both = layers.Dropout(0.1)(layers.Add()([last, mean]))
        return layers.Dense(size, name="next", dtype="float32")(both)

    def encode(self, source, max_length=None):
        mean = ops.mean(self.get_layer("read")(source), axis=1)
        return [ops.cast(mean, "float32")], {"source": source}

    def step(self, tokens, states, memory):
        last = ops.cast(self.get_layer("last")(tokens), "float32")
        logits = self.get_layer("next")(last + states[0])
        alignment = ops.ones_like(memory["source"], dtype="float32")
        return ops.log_softmax(logits, axis=-1), states, alignment


MODELS = {
    "text": of_words,
    "images": of_pixels,
    "series": of_series,
    "translation": lambda recipe, config: TinyTranslator(config),
}
