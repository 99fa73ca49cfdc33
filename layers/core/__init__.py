"""What every attention layer is made of: scores, normalizers, masks, evaluation."""

from attention_zoo.layers.core.bounded_scores import NormalizedDotScore, SoftCapScore
from attention_zoo.layers.core.fused import attention_path
from attention_zoo.layers.core.normalizers import (
    Entmax,
    Entmax15,
    GumbelSoftmax,
    Hardmax,
    Normalizer,
    Sigmoid,
    Softmax,
    Sparsemax,
    TopK,
)
from attention_zoo.layers.core.positions import (
    AlibiBias,
    Position,
    RelativeBias,
    RotaryPosition,
)
from attention_zoo.layers.core.recording import AttentionRecord, record_attention
from attention_zoo.layers.core.scores import (
    AdditiveScore,
    ConcatScore,
    CosineScore,
    DotScore,
    GeneralScore,
    LocationScore,
    ScaledDotScore,
    Score,
)
from attention_zoo.layers.core.sinks import SinkSoftmax, SoftmaxOne

__all__ = [
    "AdditiveScore",
    "AlibiBias",
    "AttentionRecord",
    "ConcatScore",
    "CosineScore",
    "DotScore",
    "Entmax",
    "Entmax15",
    "GeneralScore",
    "GumbelSoftmax",
    "Hardmax",
    "LocationScore",
    "NormalizedDotScore",
    "Normalizer",
    "Position",
    "RelativeBias",
    "RotaryPosition",
    "ScaledDotScore",
    "Score",
    "Sigmoid",
    "SinkSoftmax",
    "SoftCapScore",
    "Softmax",
    "SoftmaxOne",
    "Sparsemax",
    "TopK",
    "attention_path",
    "record_attention",
]
