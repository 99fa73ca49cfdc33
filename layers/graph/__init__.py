"""Attention of the nodes of a graph to their neighbours."""

from attention_zoo.layers.graph.graph_attention import GraphAttention
from attention_zoo.layers.graph.graph_attention_v2 import GraphAttentionV2

__all__ = ["GraphAttention", "GraphAttentionV2"]
