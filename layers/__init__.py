"""Attention layers for Keras 3, a mechanism a file: TensorFlow, JAX and PyTorch."""

if __name__ != "attention_zoo.layers":
    raise ImportError(
        f"This package was imported as '{__name__}', which would register every layer "
        "twice. Import 'attention_zoo.layers'."
    )

from attention_zoo.layers import (
    composite,
    core,
    efficient,
    features,
    graph,
    pooling,
    recurrent,
    registry,
    sequence,
    series,
    sets,
    transformer,
    vision,
)
from attention_zoo.layers.composite import *  # noqa: F403
from attention_zoo.layers.core import *  # noqa: F403
from attention_zoo.layers.efficient import *  # noqa: F403
from attention_zoo.layers.features import *  # noqa: F403
from attention_zoo.layers.graph import *  # noqa: F403
from attention_zoo.layers.pooling import *  # noqa: F403
from attention_zoo.layers.recurrent import *  # noqa: F403
from attention_zoo.layers.registry import create_attention, get_family, list_attentions
from attention_zoo.layers.sequence import *  # noqa: F403
from attention_zoo.layers.series import *  # noqa: F403
from attention_zoo.layers.sets import *  # noqa: F403
from attention_zoo.layers.transformer import *  # noqa: F403
from attention_zoo.layers.vision import *  # noqa: F403

__all__ = ["create_attention", "get_family", "list_attentions"]
__all__ += composite.__all__
__all__ += core.__all__
__all__ += efficient.__all__
__all__ += features.__all__
__all__ += graph.__all__
__all__ += pooling.__all__
__all__ += recurrent.__all__
__all__ += sequence.__all__
__all__ += series.__all__
__all__ += sets.__all__
__all__ += transformer.__all__
__all__ += vision.__all__

registry.register_attentions(globals()[name] for name in __all__)
