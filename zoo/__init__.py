"""A Keras 3 model zoo of attention architectures.

Importing this package registers every layer and model under the Keras package name
`attention_zoo`, so that `keras.models.load_model` opens each saved model of the zoo
with nothing passed in `custom_objects`.
"""

if __name__ != "attention_zoo":
    raise ImportError(
        f"This folder is the package `attention_zoo`, imported as `{__name__}`. "
        "One class under two names cannot be loaded again. "
        "Install the project and write `import attention_zoo`."
    )

from attention_zoo import layers
from attention_zoo._batch_norm import FusedBatchNormalization
from attention_zoo._lstm import BidirectionalLSTM
from attention_zoo._version import __version__
from attention_zoo.explain import explain
from attention_zoo.pretrained import list_pretrained, load
from attention_zoo.registry import create, list_models
from attention_zoo.rnn_translator import RNNTranslator
from attention_zoo.subwords import SubwordDetokenizer, SubwordTokenizer
from attention_zoo.transformer_translator import TransformerTranslator
from attention_zoo.translate import Translator
from attention_zoo.translations import translate_texts

__all__ = [
    "BidirectionalLSTM",
    "FusedBatchNormalization",
    "RNNTranslator",
    "SubwordDetokenizer",
    "SubwordTokenizer",
    "TransformerTranslator",
    "Translator",
    "__version__",
    "create",
    "explain",
    "layers",
    "list_models",
    "list_pretrained",
    "load",
    "translate_texts",
]
