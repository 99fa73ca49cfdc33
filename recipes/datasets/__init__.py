"""TFDS builders of the project's own: embedded data and data that TFDS lacks.

A module here is named like its dataset; importing it registers the builder with
TensorFlow Datasets, after which `tfds.load(name)` works.
"""
