"""Layers made of other attention layers: serial, parallel and gated."""

from attention_zoo.layers.composite.gated_fusion import GatedFusion
from attention_zoo.layers.composite.parallel import Parallel
from attention_zoo.layers.composite.serial import Serial

__all__ = [
    "GatedFusion",
    "Parallel",
    "Serial",
]
