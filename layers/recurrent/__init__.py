"""Attention that is evaluated step by step, and cells that use it."""

from attention_zoo.layers.recurrent.attention_cell import AttentionCell
from attention_zoo.layers.recurrent.coverage import CoverageAttention
from attention_zoo.layers.recurrent.decoder import AttentionDecoder
from attention_zoo.layers.recurrent.location_aware import LocationAwareAttention
from attention_zoo.layers.recurrent.monotonic import (
    MonotonicAttention,
    NormedAdditiveScore,
)
from attention_zoo.layers.recurrent.stepwise import StepwiseAttention

__all__ = [
    "AttentionCell",
    "AttentionDecoder",
    "CoverageAttention",
    "LocationAwareAttention",
    "MonotonicAttention",
    "NormedAdditiveScore",
    "StepwiseAttention",
]
