"""A trained run's figures, by the names that suites use.

The mathematics is in `benchmarks.metrics`, as functions of tensors; here it meets a model and gets its names, units and
directions. Nothing here knows a prior, model or data set by name.
"""

from benchmarks.evaluation import annealing, codes, critic, likelihood, memorisation, points, samples
from benchmarks.evaluation.metric import METRICS
from benchmarks.evaluation.subject import DataOnly, Evaluated, Material

__all__ = [
    "METRICS",
    "DataOnly",
    "Evaluated",
    "Material",
    "annealing",
    "codes",
    "critic",
    "likelihood",
    "memorisation",
    "points",
    "samples",
]
