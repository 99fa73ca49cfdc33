"""Attention over sets, whose members have no order, and over learned latents."""

from attention_zoo.layers.sets.induced_set_attention import InducedSetAttentionBlock
from attention_zoo.layers.sets.perceiver import PerceiverAttention
from attention_zoo.layers.sets.set_attention import SetAttentionBlock
from attention_zoo.layers.sets.slot_attention import SlotAttention

__all__ = [
    "InducedSetAttentionBlock",
    "PerceiverAttention",
    "SetAttentionBlock",
    "SlotAttention",
]
