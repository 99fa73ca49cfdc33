"""Attention whose cost grows linearly with the length of the sequence."""

from attention_zoo.layers.efficient.delta import DeltaAttention
from attention_zoo.layers.efficient.gated_delta import GatedDeltaAttention
from attention_zoo.layers.efficient.gated_linear import GatedLinearAttention
from attention_zoo.layers.efficient.linear import LinearAttention
from attention_zoo.layers.efficient.linformer import LinformerAttention
from attention_zoo.layers.efficient.local import LocalAttention
from attention_zoo.layers.efficient.nystrom import NystromAttention
from attention_zoo.layers.efficient.performer import PerformerAttention
from attention_zoo.layers.efficient.retention import Retention
from attention_zoo.layers.efficient.state_space_dual import StateSpaceDual

__all__ = [
    "DeltaAttention",
    "GatedDeltaAttention",
    "GatedLinearAttention",
    "LinearAttention",
    "LinformerAttention",
    "LocalAttention",
    "NystromAttention",
    "PerformerAttention",
    "Retention",
    "StateSpaceDual",
]
