"""Transformer blocks and their feed-forward network."""
