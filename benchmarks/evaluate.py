"""What a trained run offers to the metrics, and the figures that a suite may ask for by name.

The mathematics is in `benchmarks.metrics`, as functions of tensors; here it meets a model and gets its names,
units and directions. Nothing here knows a prior, model or data set by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import Distribution

from benchmarks.datasets import Dataset
from benchmarks.metrics import latent
from benchmarks.metrics.codes import active_units, wasserstein_1
from benchmarks.metrics.figure import Direction, Figure
from benchmarks.metrics.likelihood import Importance, importance_sampling
from benchmarks.metrics.neighbours import nearest
from benchmarks.seeds import seed_for
from benchmarks.settings import ProtocolSettings
from models.base import Autoencoder
from priors.base import Density, Prior, Unsupported, density
from priors.normal import NormalMixture, mixture_of

RELIABLE = 0.7
"""Pareto k-hat above which an importance-sampling estimate is not to be trusted (Vehtari et al. 2024)."""

DRAWN, LOW = 100_000, 1_000
"""Draws of the prior that `off_manifold` looks at, and those of the lowest posterior among them."""

CODES, LEVELS = 5_000, (0.001, 0.01, 0.1)
"""Codes and draws that the latent fit is estimated on; quantiles of ln p(z) at which leakage is shown."""

FEW = 16
"""Most dimensions of data in which a distance to the nearest point says whether another one is off the manifold."""

CHUNK = 1000
"""Images decoded at a time."""

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
        return self.model.encode_all(self.data.test.seen)

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

    @cached_property
    def aggregate(self) -> NormalMixture:
        """q(z) = 1/N sum_n q(z|x_n) over the training images, in float64; Unsupported for other posteriors."""
        return mixture_of(self.model.encode_all(self.data.train), "the aggregate posterior's density").double()

    def log_p(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, (n, D) -> (n,), float64."""
        log_prior, dtype = density(self.prior).frozen(), self.q.mean.dtype
        return torch.cat([log_prior(part.to(dtype)).double() for part in z.split(CHUNK)])

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


def mean_figure(
    name: str, estimator: str, values: Tensor, direction: Direction, unit: str, note: str = "", common: float = 0.0
) -> Figure:
    """The mean over test images with its standard error, which includes an error that all of them have in common."""
    error = math.hypot(values.std().item() / math.sqrt(len(values)), common) if len(values) > 1 else common or None
    return Figure(name, estimator, values.mean().item(), unit, direction, error, note)


@metric("nll")
def nll(subject: Subject) -> list[Figure]:
    """-ln p(x) at every K, the negative ELBO, and its parts; nats an image."""
    figures = likelihoods(subject, "nll", "lower", -1.0)
    figures.append(mean_figure("reconstruction", "elbo", subject.importance.reconstruction, "none", "nats"))
    figures.append(mean_figure("kl", f"elbo{subject.certainty}", subject.importance.kl, "none", "nats"))
    return figures


@metric("log_likelihood")
def log_likelihood(subject: Subject) -> list[Figure]:
    """ln p(x) at every K and the ELBO, for papers that print it with this sign."""
    return likelihoods(subject, "log_likelihood", "higher", 1.0)


def likelihoods(subject: Subject, name: str, direction: Direction, sign: float) -> list[Figure]:
    """sign x ln p(x) at every K, and the ELBO; then the same under the prior's papers' own normalisations.

    An error of the prior's ln Z is common to all images: it is added to the variance of the mean, not averaged out.
    """
    result, plus, common = subject.importance, subject.certainty, density(subject.prior).log_prob_error
    estimates = {f"is-{k}": (values, warning(result, k)) for k, values in result.log_likelihood.items()}
    estimates["elbo"] = (result.elbo, "an upper bound" if sign < 0 else "a lower bound")
    figures = [
        mean_figure(name, f"{how}{plus}", sign * values, direction, "nats", note, common)
        for how, (values, note) in estimates.items()
    ]
    for convention, shift in density(subject.prior).conventions().items():
        note = f"the paper's own normalisation: off by {shift:+.4g} nats, not comparable"
        figures += [
            mean_figure(name, f"{how}+{convention}", sign * (values + shift), direction, "nats", note)
            for how, (values, _) in estimates.items()
        ]
    return figures


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


@metric("squared_error")
def squared_error(subject: Subject) -> list[Figure]:
    """||x - E[x|z]||^2 at one z ~ q(z|x) a test image: the reconstruction on a scale that all models share."""
    torch.manual_seed(seed_for(subject.seed, "squared_error"))
    z = subject.q.sample()
    chunks = [range(i, min(i + CHUNK, len(z))) for i in range(0, len(z), CHUNK)]
    errors = [
        (subject.data.test[c.start : c.stop] - subject.model.decode(z[c.start : c.stop])).square().flatten(1).sum(1)
        for c in chunks
    ]
    return [mean_figure("squared_error", "one-draw", torch.cat(errors).double(), "lower", "none")]


@metric("prior")
def prior(subject: Subject) -> list[Figure]:
    """What the fitted prior knows of itself: a learned beta, ln Z with its error, an acceptance rate."""
    subject.prior.sample(64)  # a sampler's acceptance is known once it has run
    known = subject.prior.report()
    if not known:
        raise Unsupported(f"{type(subject.prior).__name__} has nothing to tell of itself")
    return [Figure(one.name, "prior", one.value, one.unit, "none", one.error) for one in known]


@metric("off_manifold")
def off_manifold(subject: Subject) -> list[Figure]:
    """Draws of the prior that decode away from the data: of all, of those with the lowest q(z), and latent pockets.

    A draw is off the manifold where E[x|z] is further from the training points than every test point is. Rows:
    `prior`, all draws; `low-posterior`, the LOW of DRAWN draws with the lowest ln q(z) (dpVAE, section 4.1); `pockets`,
    the share of all draws that are off the manifold and where ln q(z) is lower than at 99 % of the test codes.
    """
    if math.prod(subject.data.shape) > FEW:
        raise Unsupported(f"distances to the data tell little in more than {FEW} dimensions: use figures of samples")
    torch.manual_seed(seed_for(subject.seed, "off_manifold"))
    x = subject.data.train[:]
    limit = nearest(subject.data.test[:], x).distance.max().item()
    z, codes = subject.prior.sample(DRAWN), subject.q.sample()
    log_q, at_codes = (subject.aggregate.log_prob_in_chunks(points) for points in (z, codes))
    distance = torch.cat([nearest(subject.model.decode(part), x).distance for part in z.split(CHUNK)])
    off = distance > limit
    lowest, note = log_q.argsort()[:LOW], f"further than {limit:.3g}"
    pockets = off & (log_q < at_codes.quantile(0.01))
    return [
        mean_figure("off_manifold", "prior", off.double(), "lower", "share", note),
        mean_figure("off_manifold", "low-posterior", off[lowest].double(), "lower", "share", note),
        mean_figure("off_manifold", "pockets", pockets.double(), "lower", "share", note),
        mean_figure("manifold_distance", "prior", distance, "lower", "none"),
        mean_figure("manifold_distance", "low-posterior", distance[lowest], "lower", "none"),
    ]


@metric("skl")
def skl(subject: Subject) -> list[Figure]:
    """KL(p||q) + KL(q||p) of the prior and the aggregate posterior q(z): in-sample, leave-one-out, and by 1-NN.

    `direct` weighs a code's own posterior in q(z), `leave-one-out` leaves it out: at narrow posteriors the first mostly
    measures the number of images. `1-nn` needs samples alone (dpVAE's protocol); a prior without a density has only it.
    """
    torch.manual_seed(seed_for(subject.seed, "skl"))
    z, j = latent.draw_codes(subject.aggregate, CODES)
    draws = subject.prior.sample(CODES)
    estimator = f"1-nn-{CODES}"
    floor = latent.skl_knn(draws, subject.prior.sample(CODES)).value
    figures = [
        Figure("skl", estimator, latent.skl_knn(draws, z).value, "nats", "lower"),
        Figure("skl", f"{estimator}-floor", floor, "nats", "none", note="between two samples of the prior"),
    ]
    if isinstance(subject.prior, Density):
        at, log_p = latent.densities_at_codes(subject.aggregate, z, j), subject.log_p(z)
        prior = latent.divergence(subject.log_p(draws), subject.aggregate.log_prob_in_chunks(draws))
        for name, log_q in (("direct", at.aggregate), ("leave-one-out", at.without)):
            both = latent.SymmetricKL(prior, latent.divergence(log_q, log_p)).total
            estimator = f"{name}-{CODES}{subject.certainty}"
            figures.append(Figure("skl", estimator, both.value, "nats", "lower", both.error))
    return figures


@metric("leakage")
def leakage(subject: Subject) -> list[Figure]:
    """LS(tau), codes where ln p(z) < tau weighed by ln q(z) - ln p(z), over dpVAE's tau and at quantiles of ln p."""
    torch.manual_seed(seed_for(subject.seed, "leakage"))
    density(subject.prior)
    z, j = latent.draw_codes(subject.aggregate, CODES)
    log_q, log_p = latent.densities_at_codes(subject.aggregate, z, j).aggregate, subject.log_p(z)
    at_draws = subject.log_p(subject.prior.sample(CODES))
    thresholds = {f"tau={tau:g}": tau for tau in latent.THRESHOLDS}
    levels = latent.quantile_thresholds(at_draws, LEVELS)
    thresholds |= {f"quantile={level:g}": tau for level, tau in zip(LEVELS, levels, strict=True)}
    figures = []
    for name, at in zip(thresholds, latent.leakage(log_p, log_q, list(thresholds.values())), strict=True):
        estimator, note = f"{name}{subject.certainty}", "" if at.share.value else "no code leaks"
        figures.append(Figure("leakage", estimator, at.score.value, "nats", "lower", finite(at.score.error), note))
        figures.append(Figure("leaking_codes", estimator, at.share.value, "share", "lower", at.share.error))
    return figures


@metric("elbo_surgery")
def elbo_surgery(subject: Subject) -> list[Figure]:
    """The training set's KL term as I(image; code) + KL(q(z)||p) (Hoffman and Johnson 2016)."""
    torch.manual_seed(seed_for(subject.seed, "elbo_surgery"))
    density(subject.prior)
    z, j = latent.draw_codes(subject.aggregate, CODES)
    at = latent.densities_at_codes(subject.aggregate, z, j)
    parts = latent.elbo_surgery(at.conditional, at.aggregate, subject.log_p(z))
    return [
        Figure(name, f"in-sample-{CODES}{subject.certainty}", part.value, "nats", "none", part.error)
        for name, part in vars(parts).items()
    ]


def finite(error: float) -> float | None:
    """The error, or None where there is none."""
    return error if math.isfinite(error) else None


@metric("latent_w1")
def latent_w1(subject: Subject) -> list[Figure]:
    """Wasserstein-1 distance between test codes and the prior's draws, exact between 1000 points of each.

    Between two samples of one law it is not 0: that floor (the prior against itself) is printed beside it.
    """
    torch.manual_seed(seed_for(subject.seed, "latent_w1"))
    count = min(1000, len(subject.data.test))
    codes, first, second = subject.q[:count].sample(), subject.prior.sample(count), subject.prior.sample(count)
    floor = wasserstein_1(first, second)
    return [
        Figure("latent_w1", f"ot-{count}", wasserstein_1(codes, first), "none", "lower"),
        Figure("latent_w1", f"ot-{count}-floor", floor, "none", "none", note="between two samples of the prior"),
        Figure("latent_spread", "codes", codes.double().var(0).sum().sqrt().item(), "none", "none"),
    ]


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
