"""Scores and normalizers as parts of a layer: how they are built and saved."""

import keras


def build_part(part, *shapes):
    """Builds a score or normalizer unless it is built: shared, or reloaded."""
    if not part.built:
        part.build(*shapes)


def serialize_part(part):
    """Returns a name as it is, and a score or normalizer layer as its config."""
    if isinstance(part, keras.layers.Layer):
        return keras.saving.serialize_keras_object(part)
    return part
