"""Attention whose cost grows linearly with the length of the sequence."""
