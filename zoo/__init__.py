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
from attention_zoo._version import __version__
from attention_zoo.generation.texts import translate_texts
from attention_zoo.generation.tokenizers import SubwordDetokenizer, SubwordTokenizer
from attention_zoo.generation.translator import Translator
from attention_zoo.heads import features
from attention_zoo.interpret.registry import explain
from attention_zoo.kernels.batch_norm import FusedBatchNormalization
from attention_zoo.kernels.lstm import BidirectionalLSTM
from attention_zoo.models._text import standardize_text
from attention_zoo.models.rnn_translator import RNNTranslator
from attention_zoo.models.transformer_translator import TransformerTranslator
from attention_zoo.prediction import predict
from attention_zoo.pretrained import download, list_pretrained, load
from attention_zoo.registry import create, list_models

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
    "download",
    "explain",
    "features",
    "layers",
    "list_models",
    "list_pretrained",
    "load",
    "predict",
    "standardize_text",
    "translate_texts",
]
