"""Attention over time series.

Letters: B batch, T time steps, D width, H heads, K width of a head. A mask `(B, T)`
says which steps are there. Layers that count in steps, periods or frequencies count the
visible steps of a row alone: a row gives what it would give without its padding,
wherever that is.
"""

from attention_zoo.layers.series.auto_correlation import AutoCorrelation
from attention_zoo.layers.series.de_stationary import (
    DeStationaryAttention,
    DeStationaryFactors,
)
from attention_zoo.layers.series.fourier_attention import FourierAttention
from attention_zoo.layers.series.fourier_block import FourierBlock
from attention_zoo.layers.series.prob_sparse import ProbSparseAttention
from attention_zoo.layers.series.temporal_pattern import TemporalPatternAttention
from attention_zoo.layers.series.two_stage import TwoStageAttention

__all__ = [
    "AutoCorrelation",
    "DeStationaryAttention",
    "DeStationaryFactors",
    "FourierAttention",
    "FourierBlock",
    "ProbSparseAttention",
    "TemporalPatternAttention",
    "TwoStageAttention",
]
