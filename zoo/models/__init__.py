"""The models, one builder in one file."""
