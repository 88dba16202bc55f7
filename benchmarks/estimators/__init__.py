"""The mathematics of metrics, as functions of tensors, and what they give: an `Estimate`, by an `Estimator`.

Nothing here knows a model, a prior or a data set by name.
"""

from benchmarks.estimators.estimate import Estimate, Remark, remarks
from benchmarks.estimators.estimator import Estimator

__all__ = ["Estimate", "Estimator", "Remark", "remarks"]
