"""Attention over the embedded fields of tables, and over a user's history."""

from attention_zoo.layers.features.field_attention import FieldAttention
from attention_zoo.layers.features.target_attention import TargetAttention

__all__ = ["FieldAttention", "TargetAttention"]
