"""Layers made of other attention layers: serial, parallel and gated."""
