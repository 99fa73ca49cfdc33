"""Layers made of other attention layers: serial, parallel and gated."""

from attention_zoo.layers.composite.containers import GatedFusion, Parallel, Serial

__all__ = [
    "GatedFusion",
    "Parallel",
    "Serial",
]
