"""Trained models of the zoo, one folder each: `model.keras`, `card.json`, pictures.

This package holds data only; `attention_zoo.load(name)` reads it.
"""
