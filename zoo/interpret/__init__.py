"""Explanations of what a model attended to."""
