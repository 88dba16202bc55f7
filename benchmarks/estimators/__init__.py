"""Metrics as plain functions of tensors and callables. `benchmarks.evaluate` gives them a model and a name."""
