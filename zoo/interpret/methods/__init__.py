"""Ways to say what an output hung on: one method, one file, in pure functions."""
