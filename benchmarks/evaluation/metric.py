"""The metrics that a suite may ask for by name, and what their figures share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from benchmarks.evaluation.subject import Subject
from benchmarks.metrics.figure import Direction, Figure
from benchmarks.metrics.latent import Estimate
from benchmarks.seeds import stream
from priors.base import Prior, Unsupported
from priors.registry import Registry

Measure = Callable[[Subject], list[Figure]]


@dataclass(frozen=True)
class Metric:
    """A metric by name. Its random stream is its own, so that no other metric moves its figures.

    summary: a line. of_data: it is defined for the data alone, without a model. inception: it needs the Inception
    network's weights. draws: it takes the prior's draws, so that its figures say how these were made where that is not
    exact.
    """

    name: str
    summary: str
    measure: Measure
    of_data: bool = False
    inception: bool = False
    draws: bool = False

    def __call__(self, subject: Subject) -> list[Figure]:
        """Its figures; Unsupported where they are undefined for the subject."""
        if subject.model is None and not self.of_data:
            raise Unsupported("a figure of a model, and this row is the data themselves")
        with stream(subject.seed, self.name):
            figures = self.measure(subject)
        return [by_sampler(figure, subject.prior) for figure in figures] if self.draws else figures


METRICS: Registry[Metric] = Registry(
    "metric",
    ("benchmarks.evaluation",),
    lambda part: isinstance(part, Metric) and callable(part.measure),
    "a function subject -> list of figures",
    '@metric("name")',
    in_order=True,
)


def metric(name: str, **kind: bool) -> Callable[[Measure], Measure]:
    """Names a metric for suites; its summary is the first line of the docstring. kind: `of_data`, `inception`, `draws`
    of a `Metric`."""

    def keep(measure: Measure) -> Measure:
        register(Metric(name, (measure.__doc__ or "").partition("\n")[0], measure, **kind))
        return measure

    return keep


def register(one: Metric) -> None:
    METRICS.add(one.name, one, one.measure)


def by_sampler(figure: Figure, prior: Prior | None) -> Figure:
    """The figure with a note on how the prior draws, where its draws are not exact."""
    if prior is None or not prior.sampler:
        return figure
    return replace(figure, note="; ".join(filter(None, (figure.note, f"the prior's draws: {prior.sampler}"))))


def mean_figure(
    name: str, estimator: str, values: Tensor, direction: Direction, unit: str, note: str = "", common: float = 0.0
) -> Figure:
    """The mean with its standard error, which includes an error that all values have in common."""
    error = math.hypot(values.std().item() / math.sqrt(len(values)), common) if len(values) > 1 else common or None
    return Figure(name, estimator, values.mean().item(), unit, direction, error, note)


def estimate_figure(
    name: str, estimator: str, found: Estimate, direction: Direction, unit: str, note: str = ""
) -> Figure:
    """An estimate with its error, or without one where it has none."""
    return Figure(name, estimator, found.value, unit, direction, finite(found.error), note)


def image_figure(name: str, estimator: str, values: Tensor, *rest: Any, **others: Any) -> Figure:
    """`mean_figure` over the first test images, in their order, with the values for comparisons in pairs."""
    return replace(mean_figure(name, estimator, values, *rest, **others), values=values)


def finite(error: float) -> float | None:
    """The error, or None where there is none."""
    return error if math.isfinite(error) else None
