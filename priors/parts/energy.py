"""Unnormalised densities, p(z) = f(z) / Z, with ln Z estimated at every validation and after training."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from priors.base import Codes, Density, Diagnostic
from priors.parts import mcmc, tempering
from priors.parts.checks import at_least
from priors.parts.defensive import Defensive, as_normal
from priors.parts.importance import drawn, log_normaliser, log_weights, rows
from priors.parts.log_z import GROUPS, Estimates, LogZ, by_groups
from priors.parts.normal import DiagonalNormal, normal_like

QUICK = (2000, 256)
"""Draws and particles of the estimates that validation takes."""

POOL = 1000
"""Fewest proposals that draws are resampled from: few proposals would leave the draws near the proposal's law."""


class Energy(Density):
    """p(z) = f(z) / Z for a positive f that a subclass gives by `log_f`.

    ln Z is 0 in training: the gradient needs no constant. `fit` estimates it twice, each unbiased for Z: by importance
    sampling from the defensive mixture, which knows where the codes are, and by sequential Monte Carlo from N(0, I)
    (`tempering`), which finds where f rises beside them. What either misses makes its estimate too low, and a positive
    unbiased estimate exceeds Z by a factor e^k with probability at most e^-k: the estimate of the larger lower end,
    value - 2 errors, is kept (`Estimates.kept`), and both are reported. A mode that neither N(0, I) leads to nor the
    codes know stays unseen.

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
        own_name = type(self).__name__.lower()
        at_least(own_name, 4, draws=draws)
        at_least(own_name, 4 * GROUPS, particles=particles)
        at_least(own_name, 1, oversample=oversample, moves=moves)
        self.draws, self.selection = draws, selection
        self.sampling, self.oversample, self.moves = sampling, oversample, moves
        self.register_buffer("log_z", torch.zeros(()))
        self.register_buffer("log_z_error", torch.zeros(()))
        self.register_buffer("estimates", torch.full((2, len(LogZ._fields)), math.nan, dtype=torch.float64))
        self.register_buffer("particles", torch.zeros(particles // GROUPS * GROUPS, latent_dim))
        standard = torch.zeros(1, latent_dim)
        self.proposal = Defensive(DiagonalNormal(standard, standard.clone()))
        self.fitted: Estimates | None = None
        self.step_size: float | None = None
        self.acceptance: float | None = None

    @abstractmethod
    def log_f(self, z: Tensor) -> Tensor:
        """ln f(z) in nats, (..., D) -> (...)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return self.log_f(z) - self.log_z

    # The normaliser

    @property
    def reliable(self) -> bool:
        return self.fitted is None or self.fitted.kept.reliable

    @property
    def log_prob_error(self) -> float:
        return self.log_z_error.item()

    @torch.no_grad()
    def before_validation(self, codes: Codes) -> Mapping[str, float]:
        if self.selection == "paper":
            return {}
        found, _ = self.normalisers(Defensive(as_normal(codes.posterior)).to(self.log_z), *QUICK)
        log_z = found.kept
        self.log_z.fill_(log_z.value)
        return {"log_z": log_z.value, "log_z_error": log_z.error}

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        """ln Z with the particles that draws may start from, once; the mixture of the training set's posteriors, and
        for "mcmc" the step size."""
        self.proposal = Defensive(as_normal(codes.posterior)).to(self.log_z)
        if self.estimates.isnan().all():
            found, z = self.normalisers(self.proposal, self.draws, len(self.particles))
            self.particles.copy_(z)
            self.estimates.copy_(torch.tensor(found, dtype=torch.float64))
        self.fitted = Estimates(*(LogZ(*row) for row in self.estimates.tolist()))
        self.log_z.fill_(self.fitted.kept.value)
        self.log_z_error.fill_(self.fitted.kept.error)
        if self.sampling == "mcmc":
            with torch.random.fork_rng(range(torch.cuda.device_count())):  # a second call finds the same step
                torch.manual_seed(0)
                self.step_size = self.tuned()

    def normalisers(self, proposal: Defensive, draws: int, particles: int) -> tuple[Estimates, Tensor]:
        """ln Z by the mixture and by sequential Monte Carlo, and the latter's particles."""
        mixture = log_normaliser(self.log_f, proposal, draws)
        found = tempering.annealed(self.log_f, self.normal, particles, GROUPS, rows(self.particles))
        return Estimates(mixture, by_groups(found.log_z)), found.z

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
        return not serves or not (self.fitted.agree or mixture.value > annealed.value)

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

    def report(self) -> Sequence[Diagnostic]:
        if self.fitted is None:
            return ()
        mixture, annealed = self.fitted
        told = [
            Diagnostic("log_z", self.fitted.kept.value, "nats", self.fitted.kept.error),
            Diagnostic("log_z_mixture", mixture.value, "nats", mixture.error),
            Diagnostic("log_z_mixture_effective", mixture.effective),
            Diagnostic("log_z_mixture_pareto_k", mixture.pareto_k),
            Diagnostic("log_z_annealed", annealed.value, "nats", annealed.error),
            Diagnostic("log_z_annealed_effective", annealed.effective),
            Diagnostic("log_z_disagreement", annealed.value - mixture.value, "nats"),
        ]
        return told if self.acceptance is None else [*told, Diagnostic("mcmc_acceptance", self.acceptance)]
