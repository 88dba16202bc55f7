"""The metrics that a suite may ask for by name, and what their estimates share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Literal, NamedTuple

from torch import Tensor

from benchmarks.common.seeds import stream
from benchmarks.estimators.estimate import Direction, Estimate, Remark, remarks
from benchmarks.estimators.estimator import Estimator
from benchmarks.estimators.latent import Measured
from benchmarks.metrics.controls import Harm
from benchmarks.metrics.evaluated import Evaluated, Material
from priors.base import Prior, Unsupported
from priors.registry import Registry

Measure = Callable[[Evaluated], list[Estimate]]
MeasureOfData = Callable[[Material], list[Estimate]]


QUESTIONS = {
    "likelihood": "how well unseen data are described",
    "codes": "how far the prior is from the codes of the data",
    "samples": "how far decoded draws are from data",
    "copying": "below 0 where draws are nearer to training data than their control is",
}
"""What one looks for in a table first, in this order: one estimate answers each, and the first one decides."""


class Deciding(NamedTuple):
    """The estimate of a metric that answers one of QUESTIONS: its row's name, its estimator's kind, and what that is
    of, where not of the model. Of unlike numbers of draws the most count. rank: the lowest counts where a table has the
    estimates of several metrics."""

    question: str
    row: str
    kind: str
    of: str = ""
    rank: int = 0

    def fits(self, row: str, estimator: Estimator) -> bool:
        """Is this the estimate? None of a floor, a control or another convention is."""
        plain = estimator.of == self.of and not estimator.variant
        return row == self.row and estimator.kind == self.kind and plain


class Sees(NamedTuple):
    """A row of a metric that controls are held against: by its name, its estimator's kind and threshold, and what that
    is of, where not of the model.

    harms: what it is to see. worse: where it goes then; a row with a direction need not say it. log: it is compared by
    its logarithm, as a p-value is, whose size tells nothing between a half and one.
    """

    row: str
    harms: tuple[Harm, ...]
    kind: str = ""
    at: str = ""
    of: str = ""
    worse: Literal["lower", "higher", ""] = ""
    log: bool = False

    def fits(self, row: str, estimator: Estimator) -> bool:
        """Is it an estimate of this row?"""
        own = (self.row, self.of, self.kind or estimator.kind, self.at or estimator.at)
        return own == (row, estimator.of, estimator.kind, estimator.at) and not estimator.variant


BOTH: tuple[Harm, ...] = ("fidelity", "coverage")
"""What a distance between laws is to see."""


@dataclass(frozen=True)
class Metric:
    """A metric by name. Its random stream is its own, so that no other metric moves its estimates.

    summary: a line. measure: raises Unsupported where the estimates are undefined. inception: it needs the Inception
    network's weights. of_data: it is defined for the data alone, without a model. rows: what its estimates are called
    in a table, each "ROW", or "ROW KIND" where another metric makes that row by estimators of another kind. sees: rows
    that controls are held against.
    """

    name: str
    summary: str
    measure: MeasureOfData
    inception: bool = False
    of_data: bool = False
    rows: tuple[str, ...] = ()
    deciding: Deciding | None = None
    sees: tuple[Sees, ...] = ()

    def makes(self, row: str, estimator: Estimator) -> bool:
        """Is an estimate of this name by this estimator one of its own?"""
        return bool({row, f"{row} {estimator.kind}"} & {*(self.rows or (self.name,))})

    def __call__(self, material: Material) -> list[Estimate]:
        """Its estimates; Unsupported where they are undefined for what there is."""
        with stream(material.seed, self.name):
            return self.measure(material)


METRICS: Registry[Metric] = Registry(
    "metric",
    ("benchmarks.metrics",),
    lambda part: isinstance(part, Metric) and callable(part.measure),
    "a function of a trained model, or of the data, that gives a list of estimates",
    '@metric("name")',
    in_order=True,
)


def metric(
    name: str,
    *,
    inception: bool = False,
    draws: bool = False,
    rows: tuple[str, ...] = (),
    deciding: Deciding | None = None,
    sees: tuple[Sees, ...] = (),
) -> Callable[[Measure], Measure]:
    """Names a metric of a trained model for suites; its summary is the first line of the docstring.

    draws: it takes the prior's draws, so that its estimates say how these were made where that is not exact. rows,
    deciding and sees: see Metric; a metric whose one row has its own name needs to say neither.
    """

    def keep(measure: Measure) -> Measure:
        @wraps(measure)
        def measured(material: Material) -> list[Estimate]:
            if not isinstance(material, Evaluated):
                raise Unsupported("a figure of a model, and this row is the data themselves")
            estimates = measure(material)
            return [by_sampler(estimate, material.prior) for estimate in estimates] if draws else estimates

        register(Metric(name, summary_of(measure), measured, inception, rows=rows, deciding=deciding, sees=sees))
        return measure

    return keep


def metric_of_data(name: str, *, inception: bool = False) -> Callable[[MeasureOfData], MeasureOfData]:
    """Names a metric that the data have without a model, and every model on them alike."""

    def keep(measure: MeasureOfData) -> MeasureOfData:
        register(Metric(name, summary_of(measure), measure, inception, of_data=True))
        return measure

    return keep


def summary_of(measure: Callable[..., object]) -> str:
    """The first line of its docstring."""
    return (measure.__doc__ or "").partition("\n")[0]


def register(one: Metric) -> None:
    METRICS.add(one.name, one, one.measure)


def by_sampler(estimate: Estimate, prior: Prior) -> Estimate:
    """The estimate with a remark on how the prior draws, where its draws are not exact."""
    if not prior.sampler:
        return estimate
    return replace(estimate, remarks=(*estimate.remarks, Remark(f"the prior's draws: {prior.sampler}")))


def mean_estimate(
    name: str,
    estimator: Estimator,
    values: Tensor,
    direction: Direction,
    unit: str,
    *told: Remark | str,
    common: float = 0.0,
    by_image: bool = False,
) -> Estimate:
    """The mean with its standard error, which includes an error that all values have in common.

    `by_image` says that the values are those of the first test images, in their order: they are kept for comparisons
    in pairs.
    """
    error = math.hypot(values.std().item() / math.sqrt(len(values)), common) if len(values) > 1 else common or None
    kept = values if by_image else None
    return Estimate(name, estimator, values.mean().item(), unit, direction, error, remarks(*told), values=kept)


image_estimate = partial(mean_estimate, by_image=True)


def measured_estimate(
    name: str, estimator: Estimator, found: Measured, direction: Direction, unit: str, *told: Remark | str
) -> Estimate:
    """An estimate with its error, or without one where it has none."""
    return Estimate(name, estimator, found.value, unit, direction, finite(found.error), remarks(*told))


def finite(error: float) -> float | None:
    """The error, or None where there is none."""
    return error if math.isfinite(error) else None
