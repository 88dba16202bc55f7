"""Figures of a suite, drawn from what its finished runs have left: a kind of figure a file, known by name in PLOTS."""

from benchmarks.plots import cost, ranks, sensitivity, training
from benchmarks.plots.base import PLOTS, Drawing, Plot, Results

__all__ = ["PLOTS", "Drawing", "Plot", "Results", "cost", "ranks", "sensitivity", "training"]
