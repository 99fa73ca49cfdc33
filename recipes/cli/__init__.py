"""The command `attention-zoo`."""
