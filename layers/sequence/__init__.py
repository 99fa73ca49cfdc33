"""Attention of a query over a value, and self-attention."""
