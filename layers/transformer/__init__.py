"""Transformer blocks and their feed-forward network."""

from attention_zoo.layers.transformer.decoder import TransformerDecoderBlock
from attention_zoo.layers.transformer.encoder import TransformerEncoderBlock
from attention_zoo.layers.transformer.feed_forward import FeedForward

__all__ = [
    "FeedForward",
    "TransformerDecoderBlock",
    "TransformerEncoderBlock",
]
