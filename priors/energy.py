"""Unnormalised densities, p(z) = f(z) / Z, with ln Z estimated once after training."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from priors import mcmc, sizes
from priors.base import Codes, Density, Known, Unsupported
from priors.normal import DiagonalNormal, log_standard_normal, mixture_of

ROWS = 1024
"""Codes whose ln f is computed at a time on a CPU."""

CATEGORIES = 2**24
"""Most that `torch.multinomial` draws from."""

POOL = 1000
"""Fewest proposals that draws are resampled from: few proposals would leave the draws near the proposal's law."""


class Defensive(nn.Module):
    """The proposal r = 1/2 N(0, I) + 1/2 1/N sum_j N(z | m_j, v_j), over the posteriors of all training images.

    Where f = N(0, I) exp(T) follows the codes, draws from N(0, I) alone never meet the narrow regions that hold its
    mass; under r the weights f / r are at most 2 f / N(0, I), and at most twice f over the aggregated posterior.

    Its posteriors move with the module but are not in its state: they are the codes again.
    """

    def __init__(self, components: DiagonalNormal):
        super().__init__()
        self.register_buffer("mean", components.mean.detach(), persistent=False)  # (N, D)
        self.register_buffer("log_variance", components.log_variance.detach(), persistent=False)

    def sides(self, n: int) -> tuple[Tensor, Tensor]:
        """n draws from N(0, I) and n from the posteriors, (n, D) each."""
        j = torch.randint(len(self.mean), (n,), device=self.mean.device)
        z = DiagonalNormal(self.mean[j], self.log_variance[j]).sample()
        return torch.randn_like(z), z

    def sample(self, n: int) -> Tensor:
        """(n, D)."""
        normal, posterior = self.sides(n)
        return torch.where(torch.rand_like(normal[:, :1]) < 0.5, normal, posterior)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln r(z) in nats, (..., D) -> (...), float64 whatever z is: narrow posteriors need it."""
        posteriors = mixture_of(DiagonalNormal(self.mean.double(), self.log_variance.double()), "the proposal")
        log_q = posteriors.log_prob_in_chunks(z)
        return torch.logaddexp(log_standard_normal(z.double()), log_q) - math.log(2)


def as_normal(q: Distribution) -> DiagonalNormal:
    """The diagonal normal with q's mean and variance, batch (N,), event (D,): q itself where it is one.

    A truncated normal gives the normal that it was cut from (its method `untruncated`), so that proposals reach beyond
    its support. Raises Unsupported where a variance is zero: a deterministic code has no density.
    """
    untruncated = getattr(q, "untruncated", None)
    if untruncated is not None:
        return as_normal(untruncated())
    if isinstance(q, DiagonalNormal):
        return q
    variance = q.variance
    if not (variance > 0).all():
        raise Unsupported("ln Z needs codes with a density, and this model's encoder is deterministic: use a VAE")
    return DiagonalNormal(q.mean, variance.log())


@dataclass(frozen=True)
class LogZ:
    """ln Z in nats, its standard error, and the effective share of the draws, (sum w)^2 / (n sum w^2)."""

    value: float
    error: float
    effective: float


def log_mean(*strata: Tensor) -> LogZ:
    """ln of the mean weight from log weights, (n_k,) each: equally probable strata, or one set of draws.

    The error is the delta method's, with the variance within strata alone. The logarithm of an unbiased estimate is
    biased by about -error^2 / 2, which is not corrected.
    """
    largest = torch.cat(strata).max()
    weights = [(stratum.double() - largest).exp() for stratum in strata]
    mean = sum(w.mean() for w in weights) / len(weights)
    variance = sum(w.var() / len(w) for w in weights) / len(weights) ** 2
    w = torch.cat(weights)
    effective = w.sum().square() / (len(w) * w.square().sum())
    return LogZ((largest + mean.log()).item(), (variance.sqrt() / mean).item(), effective.item())


def log_normaliser(log_f: Callable[[Tensor], Tensor], proposal: Defensive, draws: int) -> LogZ:
    """ln Z = ln E_r[f(z) / r(z)] by importance sampling, exactly half of the draws from each side of r.

    log_f: (n, D) -> (n,), in nats. Each half estimates its side's mean weight, so Z's estimate stays unbiased.
    """
    return log_mean(*(log_weights(log_f, proposal, z) for z in proposal.sides(draws // 2)))


def log_weights(log_f: Callable[[Tensor], Tensor], proposal: Defensive, z: Tensor) -> Tensor:
    """ln f(z) - ln r(z), (n, D) -> (n,), float64 and without a gradient."""
    with torch.no_grad():
        return torch.cat([log_f(part).double() for part in z.split(rows(z))]) - proposal.log_prob(z)


def rows(z: Tensor) -> int:
    """Codes whose ln f, which may take an image each, is computed at a time, or whose chains move together."""
    return sizes.rows(z.device, sizes.IMAGE, ROWS)


def drawn(weight: Tensor, n: int) -> Tensor:
    """n indices of weights (N,), with replacement, each as often as its weight says, (n,).

    Beyond CATEGORIES they are found in the running total, in float64, as float32 would merge the weights.
    """
    if len(weight) <= CATEGORIES:
        return torch.multinomial(weight, n, replacement=True)
    total = weight.double().cumsum(0)
    at = torch.rand(n, dtype=total.dtype, device=total.device) * total[-1]
    return torch.searchsorted(total, at, right=True).clamp(max=len(weight) - 1)


class Energy(Density):
    """p(z) = f(z) / Z for a positive f that a subclass gives by `log_f`.

    ln Z is 0 in training: the gradient needs no constant. `fit` estimates it from the training set's posteriors by the
    defensive mixture, with its standard error, which all z have in common. Until then `log_prob` is ln f.

    draws: those that ln Z is estimated from.
    sampling: "resampling" draws `oversample` proposals a draw from the defensive mixture (N(0, I) before `fit`) and
        resamples them by f / r, with replacement: in tens of dimensions a few of large weight are drawn again and
        again, and figures of samples suffer. "mcmc" then moves every draw by `moves` steps of MALA, which sets them
        apart, their size tuned on a pilot and frozen.
    """

    certainty = "estimate"
    log_z: Tensor
    log_z_error: Tensor

    def __init__(
        self,
        latent_dim: int,
        *,
        draws: int = 20_000,
        sampling: Literal["resampling", "mcmc"] = "resampling",
        oversample: int = 10,
        moves: int = 100,
    ):
        super().__init__()
        for name, value, least in (("draws", draws, 4), ("oversample", oversample, 1), ("moves", moves, 1)):
            if value < least:
                raise ValueError(f"{type(self).__name__.lower()} needs {name} >= {least}, not {value}")
        self.draws, self.sampling, self.oversample, self.moves = draws, sampling, oversample, moves
        self.register_buffer("log_z", torch.zeros(()))
        self.register_buffer("log_z_error", torch.zeros(()))
        standard = torch.zeros(1, latent_dim)
        self.proposal = Defensive(DiagonalNormal(standard, standard.clone()))
        self.estimate: LogZ | None = None
        self.step_size: float | None = None
        self.acceptance: float | None = None

    @abstractmethod
    def log_f(self, z: Tensor) -> Tensor:
        """ln f(z) in nats, (..., D) -> (...)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_f(z) - self.log_z

    @property
    def log_prob_error(self) -> float:
        return self.log_z_error.item()

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        """ln Z, the proposal for draws and, for "mcmc", the step size, from the training set's posteriors."""
        self.proposal = Defensive(as_normal(codes.posterior)).to(self.log_z)
        self.estimate = log_normaliser(self.log_f, self.proposal, self.draws)
        self.log_z.fill_(self.estimate.value)
        self.log_z_error.fill_(self.estimate.error)
        if self.sampling == "mcmc":
            self.step_size = self.tuned()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        z = self.resampled(n)
        return self.moved(z) if self.sampling == "mcmc" else z

    def resampled(self, n: int) -> Tensor:
        """Sampling-importance-resampling from the proposal, (n, D): equal draws occur where a weight is large."""
        z = self.proposal.sample(max(self.oversample * n, POOL))
        weight = log_weights(self.log_f, self.proposal, z).softmax(0)
        return z[drawn(weight, n)]

    def moved(self, z: Tensor) -> Tensor:
        """z (n, D) after `moves` steps of MALA."""
        step_size = self.step_size or self.tuned()
        parts = [mcmc.mala(self.log_f, part, self.moves, step_size) for part in z.split(rows(z))]
        self.acceptance = sum(rate * len(part) for part, rate in parts) / len(z)
        return torch.cat([part for part, _ in parts])

    def tuned(self) -> float:
        """The step size at which MALA accepts 57 % on resampled draws."""
        return mcmc.tune(lambda z, a: mcmc.mala(self.log_f, z, 1, a), self.resampled(POOL), target=0.57)

    def report(self) -> Sequence[Known]:
        if self.estimate is None:
            return ()
        known = [
            Known("log_z", self.estimate.value, "nats", self.estimate.error),
            Known("log_z_effective", self.estimate.effective),
        ]
        return known if self.acceptance is None else [*known, Known("mcmc_acceptance", self.acceptance)]
