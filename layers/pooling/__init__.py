"""Attention that turns a sequence into one vector."""

from attention_zoo.layers.pooling.attention_pooling import AttentionPooling
from attention_zoo.layers.pooling.gated import GatedAttentionPooling
from attention_zoo.layers.pooling.hierarchical import HierarchicalAttention
from attention_zoo.layers.pooling.multi_head_pooling import MultiHeadAttentionPooling

__all__ = [
    "AttentionPooling",
    "GatedAttentionPooling",
    "HierarchicalAttention",
    "MultiHeadAttentionPooling",
]
