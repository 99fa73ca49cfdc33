"""Training, checkpoints and publication."""
