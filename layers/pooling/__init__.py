"""Attention that turns a sequence into one vector."""
