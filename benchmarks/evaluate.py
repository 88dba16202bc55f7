"""What a trained run offers to the metrics, and the figures that a suite may ask for by name.

The mathematics is in `benchmarks.metrics`, as functions of tensors; here it meets a model and gets its names,
units and directions. Nothing here knows a prior, model or data set by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor
from torch.distributions import Distribution

from benchmarks.datasets import Dataset
from benchmarks.metrics.codes import active_units
from benchmarks.metrics.figure import Direction, Figure
from benchmarks.metrics.likelihood import Importance, importance_sampling
from benchmarks.seeds import seed_for
from benchmarks.settings import ProtocolSettings
from models.base import Autoencoder
from priors.base import Prior, Unsupported, density

RELIABLE = 0.7
"""Pareto k-hat above which an importance-sampling estimate is not to be trusted (Vehtari et al. 2024)."""

TOLERATED = 0.05
"""Share of images above it without a warning beside the figure."""


@dataclass
class Subject:
    """A trained model with its prior, the data, and the protocol; what several metrics need is computed once."""

    model: Autoencoder
    prior: Prior
    data: Dataset
    protocol: ProtocolSettings
    seed: int
    progress: Callable[[str, int, int], None] = field(default=lambda what, done, of: None)

    @cached_property
    def q(self) -> Distribution:
        """q(z|x) of every test image, encoded once."""
        return self.model.encode_all(self.data.test)

    @cached_property
    def importance(self) -> Importance:
        """The likelihood's estimates for the protocol's images: all, or the first of them."""
        count = min(self.protocol.images or len(self.data.test), len(self.data.test))
        return importance_sampling(
            self.data.test,
            self.q[:count],
            self.model.log_likelihood,
            density(self.prior).frozen(),
            self.protocol.samples,
            seed=lambda i: seed_for(self.seed, "likelihood", i),
            progress=lambda done: self.progress("likelihood", done, count),
        )

    @property
    def certainty(self) -> str:
        """What the prior's own density adds to an estimator's name: nothing where it is exact."""
        certainty = density(self.prior).certainty
        return "" if certainty == "exact" else f"+{certainty}"


Metric = Callable[[Subject], list[Figure]]
METRICS: dict[str, Metric] = {}


def metric(name: str) -> Callable[[Metric], Metric]:
    """Names a metric for suites."""

    def keep(function: Metric) -> Metric:
        METRICS[name] = function
        return function

    return keep


def mean_figure(name: str, estimator: str, values: Tensor, direction: Direction, unit: str, note: str = "") -> Figure:
    """The mean over test images with its standard error."""
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else None
    return Figure(name, estimator, values.mean().item(), unit, direction, error, note)


@metric("nll")
def nll(subject: Subject) -> list[Figure]:
    """-ln p(x) at every K, the negative ELBO, and its parts; nats an image."""
    result, plus = subject.importance, subject.certainty
    figures = [
        mean_figure("nll", f"is-{k}{plus}", -values, "lower", "nats", warning(result, k))
        for k, values in result.log_likelihood.items()
    ]
    figures.append(mean_figure("nll", f"elbo{plus}", -result.elbo, "lower", "nats", "an upper bound"))
    figures.append(mean_figure("reconstruction", "elbo", result.reconstruction, "none", "nats"))
    figures.append(mean_figure("kl", f"elbo{plus}", result.kl, "none", "nats"))
    return figures


@metric("log_likelihood")
def log_likelihood(subject: Subject) -> list[Figure]:
    """ln p(x) at every K, for papers that print it with this sign."""
    result, plus = subject.importance, subject.certainty
    return [
        mean_figure("log_likelihood", f"is-{k}{plus}", values, "higher", "nats", warning(result, k))
        for k, values in result.log_likelihood.items()
    ]


@metric("bits_per_dim")
def bits_per_dim(subject: Subject) -> list[Figure]:
    """NLL / (D ln 2) at the largest K; a density on [0, 1] of 256-level data first gets D ln 256 nats added.

    The density's figure is that of x's 256 bins with the density constant inside each: comparable to a discretised
    likelihood's only in so far as this holds.
    """
    values = -subject.importance.log_likelihood[last(subject.importance)]
    dimensions = math.prod(subject.data.shape)
    discrete = subject.model.likelihood.discrete
    if not discrete and subject.data.levels is None:
        raise Unsupported("bits/dim needs data on a grid of grey levels, and these are real-valued")
    shift = 0.0 if discrete else dimensions * math.log(subject.data.levels)
    bits = (values + shift) / (dimensions * math.log(2))
    return [mean_figure("bits_per_dim", f"is-{last(subject.importance)}{subject.certainty}", bits, "lower", "bits")]


@metric("reliability")
def reliability(subject: Subject) -> list[Figure]:
    """Effective sample size, largest weight and Pareto k-hat of the importance weights at the largest K."""
    result = subject.importance
    k = f"is-{last(result)}"
    figures = [
        mean_figure("effective_share", k, result.effective, "higher", "share"),
        mean_figure("largest_weight", k, result.largest, "lower", "share"),
    ]
    if not result.pareto_k.isnan().any():
        figures.append(mean_figure("pareto_k", k, result.pareto_k, "lower", "none"))
        unreliable = (result.pareto_k > RELIABLE).double()
        figures.append(mean_figure("unreliable_images", k, unreliable, "lower", "share"))
    return figures


@metric("excess_nll")
def excess_nll(subject: Subject) -> list[Figure]:
    """NLL minus the exact one of the data's law, example by example: estimates KL(data || model), which is >= 0."""
    if subject.data.log_prob is None:
        raise Unsupported("the exact log p(x) of this data set is not known")
    result = subject.importance
    exact = subject.data.log_prob(subject.data.test[: len(result.elbo)].cpu()).to(result.elbo)
    figures = [mean_figure("nll", "exact", -exact, "lower", "nats", "of the data's own law, not of the model")]
    for k, values in result.log_likelihood.items():
        excess = exact - values
        impossible = excess.mean() < -3 * excess.std() / math.sqrt(len(excess))
        note = "impossible: the model cannot beat the data's own law" if impossible else ""
        figures.append(mean_figure("excess_nll", f"is-{k}{subject.certainty}", excess, "lower", "nats", note))
    return figures


@metric("active_units")
def active(subject: Subject) -> list[Figure]:
    """Latent dimensions that the encoder uses."""
    return [Figure("active_units", "variance>0.01", active_units(subject.q.mean), "dimensions", "none")]


def last(result: Importance) -> int:
    """The largest K."""
    return max(result.log_likelihood)


def warning(result: Importance, k: int) -> str:
    """A note for the figure at K draws, where it is the largest K and its weights call for one."""
    unreliable = (result.pareto_k > RELIABLE).double().mean().item()
    if k < last(result) or unreliable <= TOLERATED:
        return ""
    return f"unreliable: k-hat > {RELIABLE} for over {TOLERATED:.0%} of images"
