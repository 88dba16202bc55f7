"""Unnormalised densities, p(z) = f(z) / Z, with ln Z estimated at every validation and after training."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from priors import mcmc, sizes, tempering
from priors.base import Codes, Density, Known, Unsupported
from priors.normal import DiagonalNormal, log_standard_normal, mixture_of, normal_like
from priors.pareto import RELIABLE, pareto_k

ROWS = 1024
"""Codes whose ln f is computed at a time on a CPU."""

CATEGORIES = 2**24
"""Most that `torch.multinomial` draws from."""

SHARE = 0.01
"""Of the mixture's draws the least that must count for its estimate to be called one."""

GROUPS = 16
"""Independent groups of particles, whose spread is the annealed estimate's error."""

WIDER = 1.0875
"""Student's 0.975 quantile of 15 degrees of freedom over the normal's: 1.96 errors are then a 95 % interval."""

AGREEING = 0.5
"""Share of the groups that must count for the annealed estimate to be called one."""

FAR = 4.0
"""Errors of their difference by which the annealed estimate is above a mixture's that has missed a part of Z."""

QUICK = (2000, 256)
"""Draws and particles of the estimates that validation takes."""

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
    normal = moments_of(q)
    if normal is not q and not (normal.log_variance > -math.inf).all():
        raise Unsupported("ln Z needs codes with a density, and this model's encoder is deterministic: use a VAE")
    return normal


def moments_of(q: Distribution) -> DiagonalNormal:
    """`as_normal` of codes that are known to have a density: nothing is read from the device, as training asks."""
    untruncated = getattr(q, "untruncated", None)
    if untruncated is not None:
        return moments_of(untruncated())
    return q if isinstance(q, DiagonalNormal) else DiagonalNormal(q.mean, q.variance.log())


class LogZ(NamedTuple):
    """ln Z in nats, its standard error, the effective share of the draws, (sum w)^2 / (n sum w^2), the shape k-hat of
    their tail (`priors.pareto`), 0 where there are too few draws for one, and the least share that makes it an
    estimate."""

    value: float
    error: float
    effective: float
    pareto_k: float = 0.0
    least: float = SHARE

    @property
    def lower(self) -> float:
        """Two errors below: of two estimates that are both unbiased for Z the one to be kept has the larger."""
        return self.value - 2 * self.error

    @property
    def reliable(self) -> bool:
        """Do as many of the draws count, and is their tail short enough for its variance to be finite?"""
        return self.effective >= self.least and self.pareto_k <= RELIABLE


def kept(mixture: LogZ, annealed: LogZ) -> LogZ:
    """The estimate of the larger lower end, value - 2 errors; the other where that one is not reliable, the other is,
    and they agree."""
    best, other = sorted((mixture, annealed), key=lambda one: one.lower, reverse=True)
    return other if other.reliable and not best.reliable and agree(best, other) else best


def agree(a: LogZ, b: LogZ) -> bool:
    """Are two estimates no further apart than FAR of their errors?"""
    return abs(a.value - b.value) <= FAR * math.hypot(a.error, b.error)


def by_groups(log_z: Tensor) -> LogZ:
    """ln of the mean over GROUPS independent groups of particles, (GROUPS,)."""
    found = log_mean(log_z)
    return found._replace(error=WIDER * found.error, pareto_k=0.0, least=AGREEING)


def log_mean(*strata: Tensor) -> LogZ:
    """ln of the mean weight from log weights, (n_k,) each: equally probable strata of one size, or one set of draws.

    The error is the delta method's, with the variance within strata alone. The logarithm of an unbiased estimate is
    biased by about -error^2 / 2, which is not corrected.
    """
    largest = torch.cat(strata).max()
    weights = [(stratum.double() - largest).exp() for stratum in strata]
    mean = sum(w.mean() for w in weights) / len(weights)
    variance = sum(w.var() / len(w) for w in weights) / len(weights) ** 2
    w = torch.cat(weights)
    effective = w.sum().square() / (len(w) * w.square().sum())
    tail = pareto_k(torch.cat(strata).double()[None]).nan_to_num(0.0)
    return LogZ((largest + mean.log()).item(), (variance.sqrt() / mean).item(), effective.item(), tail.item())


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

    ln Z is 0 in training: the gradient needs no constant. `fit` estimates it twice, each unbiased for Z: by importance
    sampling from the defensive mixture, which knows where the codes are, and by sequential Monte Carlo from N(0, I)
    (`tempering`), which finds where f rises beside them. What either misses makes its estimate too low, and a positive
    unbiased estimate exceeds Z by a factor e^k with probability at most e^-k: the estimate of the larger lower end,
    value - 2 errors, is kept (`kept`), and both are reported. A mode that neither N(0, I) leads to nor the codes know
    stays unseen.

    It is `reliable` where of the mixture's draws SHARE or more count and their Pareto k-hat is at most 0.7, or where of
    the groups of particles AGREEING or more count, whichever estimate was kept.

    draws: of the mixture. particles: of sequential Monte Carlo.
    selection: "normalised" estimates ln Z before every validation too, from fewer draws, so that early stopping does
        not prefer epochs at which Z happens to be large; the estimate's noise, in the history as `log_z_error`, is part
        of the validation loss. "paper" leaves the loss as training has it.
    sampling: "resampling" draws `oversample` proposals a draw from the defensive mixture (N(0, I) before `fit`) and
        resamples them by f / r, with replacement. In tens of dimensions a few of large weight would be drawn again and
        again: where fewer than one a draw count, or the mixture missed a part of Z, the particles of sequential Monte
        Carlo are resampled in their place. "mcmc" then moves every draw by `moves` steps of MALA, which sets equal ones
        apart, their size tuned on a pilot and frozen.
    """

    certainty = "estimate"
    log_z: Tensor
    log_z_error: Tensor
    estimates: Tensor
    particles: Tensor

    def __init__(
        self,
        latent_dim: int,
        *,
        draws: int = 20_000,
        particles: int = 1024,
        selection: Literal["normalised", "paper"] = "normalised",
        sampling: Literal["resampling", "mcmc"] = "resampling",
        oversample: int = 10,
        moves: int = 100,
    ):
        super().__init__()
        least = {"draws": (draws, 4), "particles": (particles, 4 * GROUPS)}
        least |= {"oversample": (oversample, 1), "moves": (moves, 1)}
        for name, (value, fewest) in least.items():
            if value < fewest:
                raise ValueError(f"{type(self).__name__.lower()} needs {name} >= {fewest}, not {value}")
        self.draws, self.selection = draws, selection
        self.sampling, self.oversample, self.moves = sampling, oversample, moves
        self.register_buffer("log_z", torch.zeros(()))
        self.register_buffer("log_z_error", torch.zeros(()))
        self.register_buffer("estimates", torch.full((2, len(LogZ._fields)), math.nan, dtype=torch.float64))
        self.register_buffer("particles", torch.zeros(particles // GROUPS * GROUPS, latent_dim))
        standard = torch.zeros(1, latent_dim)
        self.proposal = Defensive(DiagonalNormal(standard, standard.clone()))
        self.fitted: tuple[LogZ, LogZ] | None = None
        self.step_size: float | None = None
        self.acceptance: float | None = None

    @abstractmethod
    def log_f(self, z: Tensor) -> Tensor:
        """ln f(z) in nats, (..., D) -> (...)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_f(z) - self.log_z

    # The normaliser

    @property
    def estimate(self) -> LogZ:
        """The estimate that was kept."""
        return kept(*self.fitted)

    @property
    def reliable(self) -> bool:
        return self.fitted is None or self.estimate.reliable

    @property
    def log_prob_error(self) -> float:
        return self.log_z_error.item()

    @torch.no_grad()
    def before_validation(self, codes: Codes) -> Mapping[str, float]:
        if self.selection == "paper":
            return {}
        mixture, annealed, _ = self.normalisers(Defensive(as_normal(codes.posterior)).to(self.log_z), *QUICK)
        found = kept(mixture, annealed)
        self.log_z.fill_(found.value)
        return {"log_z": found.value, "log_z_error": found.error}

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        """ln Z with the particles that draws may start from, once; the mixture of the training set's posteriors, and
        for "mcmc" the step size."""
        self.proposal = Defensive(as_normal(codes.posterior)).to(self.log_z)
        if self.estimates.isnan().all():
            *found, z = self.normalisers(self.proposal, self.draws, len(self.particles))
            self.particles.copy_(z)
            self.estimates.copy_(torch.tensor(found, dtype=torch.float64))
        mixture, annealed = (LogZ(*row) for row in self.estimates.tolist())
        self.fitted = mixture, annealed
        self.log_z.fill_(self.estimate.value)
        self.log_z_error.fill_(self.estimate.error)
        if self.sampling == "mcmc":
            with torch.random.fork_rng(range(torch.cuda.device_count())):  # a second call finds the same step
                torch.manual_seed(0)
                self.step_size = self.tuned()

    def normalisers(self, proposal: Defensive, draws: int, particles: int) -> tuple[LogZ, LogZ, Tensor]:
        """ln Z by the mixture and by sequential Monte Carlo, and the latter's particles."""
        mixture = log_normaliser(self.log_f, proposal, draws)
        found = tempering.annealed(self.log_f, self.normal, particles, GROUPS, rows(self.particles))
        return mixture, by_groups(found.log_z), found.z

    def normal(self, n: int) -> Tensor:
        """n draws from N(0, I), (n, D)."""
        return normal_like(self.particles, n)

    # Draws

    @property
    def from_particles(self) -> bool:
        """Do draws start from particles? Not where the mixture's proposals serve: there they are fresh ones."""
        if self.fitted is None:
            return False
        mixture, annealed = self.fitted
        serves = mixture.reliable and mixture.effective >= 1 / self.oversample
        return not serves or not (agree(mixture, annealed) or mixture.value > annealed.value)

    @property
    def sampler(self) -> str:
        start = f"{len(self.particles)} annealed particles" if self.from_particles else "resampled proposals"
        return f"{self.moves} MALA steps from {start}" if self.sampling == "mcmc" else start

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        z = self.start(n)
        return self.moved(z) if self.sampling == "mcmc" else z

    def start(self, n: int) -> Tensor:
        """Draws (n, D) of p, equal ones among them: particles or resampled proposals."""
        if self.from_particles:
            return self.particles[torch.randint(len(self.particles), (n,), device=self.particles.device)]
        return self.resampled(n)

    def resampled(self, n: int) -> Tensor:
        """Sampling-importance-resampling from the proposal, (n, D): equal draws occur where a weight is large."""
        z = self.proposal.sample(max(self.oversample * n, POOL))
        weight = log_weights(self.log_f, self.proposal, z).softmax(0)
        return z[drawn(weight, n)]

    def moved(self, z: Tensor) -> Tensor:
        """z (n, D) after `moves` steps of the tuned size."""
        return self.walked(z, self.moves, self.step_size or self.tuned())

    def walked(self, z: Tensor, steps: int, step_size: float) -> Tensor:
        """z (n, D) after so many steps of MALA of this size."""
        parts = [mcmc.mala(self.log_f, part, steps, step_size) for part in z.split(rows(z))]
        self.acceptance = sum(rate * len(part) for part, rate in parts) / len(z)
        return torch.cat([part for part, _ in parts])

    def tuned(self) -> float:
        """The step size at which MALA accepts 57 % on draws that are not moved yet."""
        return mcmc.tune(lambda z, a: mcmc.mala(self.log_f, z, 1, a), self.start(POOL), target=0.57)

    def report(self) -> Sequence[Known]:
        if self.fitted is None:
            return ()
        mixture, annealed = self.fitted
        known = [
            Known("log_z", self.estimate.value, "nats", self.estimate.error),
            Known("log_z_mixture", mixture.value, "nats", mixture.error),
            Known("log_z_mixture_effective", mixture.effective),
            Known("log_z_mixture_pareto_k", mixture.pareto_k),
            Known("log_z_annealed", annealed.value, "nats", annealed.error),
            Known("log_z_annealed_effective", annealed.effective),
            Known("log_z_disagreement", annealed.value - mixture.value, "nats"),
        ]
        return known if self.acceptance is None else [*known, Known("mcmc_acceptance", self.acceptance)]
