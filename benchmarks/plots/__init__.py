"""Figures of a suite, drawn from what its finished runs have left: a kind of figure a file, known by name in PLOTS."""

from benchmarks.plots.base import PLOTS, Drawing, Plot, Results

# ruff: noqa: I001
# In the order in which a report shows them.
from benchmarks.plots import samples, traversals, neighbours
from benchmarks.plots import latent, posteriors, leakage
from benchmarks.plots import training, sensitivity, cost, ranks, critic

__all__ = ["PLOTS", "Drawing", "Plot", "Results"]
__all__ += ["critic", "latent", "leakage", "neighbours", "posteriors", "samples", "traversals"]
__all__ += ["cost", "ranks", "sensitivity", "training"]
