"""Generating text: search, tokenizers and translators."""
