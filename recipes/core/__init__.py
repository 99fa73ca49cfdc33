"""Recipes, their settings, errors and small files."""
