"""Attention that is evaluated step by step, and cells that use it."""
