"""Scripts that measure: `python -m benchmarks <name>`, from the project's folder."""
