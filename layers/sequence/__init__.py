"""Attention of a query over a value, and self-attention."""

from attention_zoo.layers.sequence.adaptive import AdaptiveAttention
from attention_zoo.layers.sequence.attention import Attention
from attention_zoo.layers.sequence.bahdanau import BahdanauAttention
from attention_zoo.layers.sequence.co_attention import CoAttention
from attention_zoo.layers.sequence.conditional_random_field import (
    ConditionalRandomField,
)
from attention_zoo.layers.sequence.copy_gate import CopyGate
from attention_zoo.layers.sequence.differential import DifferentialAttention
from attention_zoo.layers.sequence.external import ExternalAttention
from attention_zoo.layers.sequence.hard import HardAttention, ReinforceLoss
from attention_zoo.layers.sequence.luong import LuongAttention
from attention_zoo.layers.sequence.multi_head import MultiHeadAttention
from attention_zoo.layers.sequence.pointer import PointerAttention
from attention_zoo.layers.sequence.self_attention import SelfAttention
from attention_zoo.layers.sequence.synthesizer import (
    DenseSynthesizer,
    RandomSynthesizer,
)

__all__ = [
    "AdaptiveAttention",
    "Attention",
    "BahdanauAttention",
    "CoAttention",
    "ConditionalRandomField",
    "CopyGate",
    "DenseSynthesizer",
    "DifferentialAttention",
    "ExternalAttention",
    "HardAttention",
    "LuongAttention",
    "MultiHeadAttention",
    "PointerAttention",
    "RandomSynthesizer",
    "ReinforceLoss",
    "SelfAttention",
]
