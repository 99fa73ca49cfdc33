"""Attention whose cost grows linearly with the length of the sequence."""

from attention_zoo.layers.efficient.linear import LinearAttention
from attention_zoo.layers.efficient.linformer import LinformerAttention
from attention_zoo.layers.efficient.local import LocalAttention
from attention_zoo.layers.efficient.nystrom import NystromAttention
from attention_zoo.layers.efficient.performer import PerformerAttention

__all__ = [
    "LinearAttention",
    "LinformerAttention",
    "LocalAttention",
    "NystromAttention",
    "PerformerAttention",
]
