"""What a trial is judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.datasets import Dataset
from models.base import Autoencoder
from priors.base import Density, Prior


@dataclass(frozen=True)
class Objective:
    """The first estimate of a metric, lower being better. axis: what axes call it, with its unit. other: what to use
    where `missing` says why there is no such estimate."""

    metric: str
    axis: str
    other: str
    missing: Callable[[Autoencoder, Prior, Dataset], str | None]


def no_likelihood(model: Autoencoder, prior: Prior, data: Dataset) -> str | None:
    """Why p(x) cannot be estimated."""
    if not isinstance(prior, Density):
        return "the prior has no density, only samples"
    return None if model.posterior.stochastic else "its encoder is deterministic, so that q(z|x) has no density"


def no_classes(model: Autoencoder, prior: Prior, data: Dataset) -> str | None:
    """Why no classifier sees the images."""
    if not data.of_pictures:
        return "the data are no pictures"
    return "the data have no classes to train a classifier on" if data.labels is None else None


OBJECTIVES = {
    "nll": Objective("nll", "-ln p(x), nats a validation image", "fd", no_likelihood),
    "fd": Objective("fd_classifier", "Fréchet distance, classifier's features", "nll", no_classes),
}
