"""A translator of raw strings that gives its source back, set by hand."""

import keras
from keras import ops

from attention_zoo import SubwordDetokenizer, SubwordTokenizer, Translator
from attention_zoo.models._translation import TranslationModel

SUBWORDS = ["▁a", "▁dog", "▁run", "s", "▁cat", ",", "!", "▁g", "o"]


@keras.saving.register_keras_serializable("tests")
class Copier(TranslationModel):
    """At step t it looks at source t alone, and gives its id."""

    @staticmethod
    def _connect(source, target, dtype, source_vocabulary_size, **config):
        size = config["target_vocabulary_size"]
        both = ops.concatenate([source, target], axis=1)
        return keras.layers.Embedding(size, size)(both)[:, ops.shape(source)[1] :]

    def encode(self, source, max_length=None):
        return [ops.zeros_like(source[:, 0])], {"source": source}

    def step(self, tokens, states, memory):
        source, (place,) = memory["source"], states
        looked = ops.arange(ops.shape(source)[1])[None] == place[:, None]
        token = ops.sum(ops.where(looked, source, 0), axis=1)
        size = self.config["target_vocabulary_size"]
        given = ops.log_softmax(ops.one_hot(token, size) * 9.0, axis=-1)
        alignment = ops.cast(looked, "float32")
        if not self.config.get("looks", True):
            alignment = ops.zeros_like(alignment)
        return given, [place + 1], alignment


def make_translator(core=None, max_length=6, subwords=SUBWORDS, **config):
    """Returns a model from raw strings to strings, as the recipes publish it.

    Args:
        core: A translator of ids. Defaults to a `Copier`.
        max_length: Integer, most ids of a sentence, its end included.
        subwords: List of strings.
        **config: Of the `Copier`.
    """
    tokenizer = SubwordTokenizer(subwords, max_length, end=True, name="tokenizer")
    size = tokenizer.vocabulary_size
    sizes = {"source_vocabulary_size": size, "target_vocabulary_size": size}
    core = core or Copier({**sizes, **config})
    text = keras.Input((), dtype="string", name="text")
    ids, words = tokenizer(text, return_words=True)
    search = {"name": "beam", "beam_size": 5}
    translator = Translator(core, search, max_length, name="translator")
    tokens, _, alignment = translator(ids)
    detokenizer = SubwordDetokenizer(subwords, name="detokenizer")
    return keras.Model(text, detokenizer(tokens[:, 0], alignment[:, 0], words))
