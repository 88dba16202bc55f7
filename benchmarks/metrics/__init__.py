"""A trained run's estimates, by the names that suites use.

The mathematics is in `benchmarks.estimators`, as functions of tensors; here it meets a model and gets its names, units
and directions. Nothing here knows a prior, model or data set by name.
"""

from benchmarks.metrics import (
    ais,
    controlled,
    controls,
    energy_priors,
    image_quality,
    latent_fit,
    likelihood,
    low_dimensional,
    memorisation,
)
from benchmarks.metrics.base import METRICS, metric, metric_of_data
from benchmarks.metrics.evaluated import DataOnly, Evaluated, Material

__all__ = ["METRICS", "DataOnly", "Evaluated", "Material", "metric", "metric_of_data"]
__all__ += ["ais", "controlled", "controls", "energy_priors", "image_quality", "latent_fit", "likelihood"]
__all__ += ["low_dimensional", "memorisation"]
