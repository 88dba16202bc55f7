"""ln Z of an energy that is being trained: what a batch's loss takes for it, or for its gradient."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from priors.base import Host
from priors.parts.defensive import log_defensive, moments_of
from priors.parts.mcmc import LogDensity
from priors.parts.normal import log_mean_exp, log_standard_normal, mixture_of, normal_like
from priors.parts.tempering import ACCEPTED, Step, effective_share, measured, move, resample

COUNTED = 0.5
"""Effective share of the particles below which they are resampled."""

PACE = 0.05
"""The rate at which the step size adapts: slow beside the moves, so that it hardly disturbs them."""


class Terms(NamedTuple):
    """What a batch knows of f: z ~ q(z|x) (B, D), ln f there (B,), other codes (M, D), and ln f there (M,)."""

    q: Distribution
    z: Tensor
    at_z: Tensor
    others: Tensor
    at_others: Tensor


class Normaliser(Protocol):
    """An estimator of ln Z, or of its gradient alone, for a training step. valued: it has the value, too."""

    valued: bool

    def others(self, log_f: LogDensity, q: Distribution, z: Tensor) -> Tensor:
        """Codes (M, D), without a gradient, at which it needs ln f beside the batch's own z ~ q (B, D)."""
        ...

    def log_z(self, terms: Terms) -> Tensor:
        """ln Z in nats, a scalar, whose gradient reaches what f learns through the terms' ln f."""
        ...


class Batchwise(nn.Module):
    """VAEPP's Z_b (section 3.4), with M draws e ~ N(0, I), N training images and B pairs (x, z):

        Z_b = 1/2 [1/M sum_m f(e_m) / N(e_m | 0, I) + 1/B sum_b N f(z_b) / q(z_b|x_b)].

    By Jensen's inequality ln Z_b >= ln (N / 2) + mean_b ln f(z_b) / q(z_b|x_b), so that the KL of training is at least
    ln (N / 2), whatever p is: 6.4 nats for 1200 images, 10.1 for 50,000. Up to there a KL costs nothing: posteriors get
    narrower than p would pay for, and codes leave it.
    """

    valued = True

    def __init__(self, draws: int, count: int):
        super().__init__()
        self.draws, self.count = draws, count

    def others(self, log_f: LogDensity, q: Distribution, z: Tensor) -> Tensor:
        return normal_like(z, self.draws)

    def log_z(self, terms: Terms) -> Tensor:
        normal = log_mean_exp(terms.at_others - log_standard_normal(terms.others))
        posterior = log_mean_exp(terms.at_z - terms.q.log_prob(terms.z)) + math.log(self.count)
        return torch.logaddexp(normal, posterior) - math.log(2)


class DefensiveBatch(nn.Module):
    """Importance sampling from r = 1/2 N(0, I) + 1/2 1/B sum_b q(z|x_b), the batch's own defensive mixture.

        Z = E_r[f / r] ~ 1/2 [mean over draws e ~ N(0, I) of f / r + mean over one z_b ~ q(z|x_b) each of f / r].

    Unbiased for Z, with weights of at most 2 f / N(0, I): a valid normaliser, as far as N(0, I) and the codes reach.
    The codes are drawn afresh and without a gradient: Z owes nothing to the encoder, which could otherwise lower the
    estimate of ln Z by making it noisy. In tens of dimensions f may rise where neither reaches.
    """

    valued = True

    def __init__(self, draws: int):
        super().__init__()
        self.draws = draws

    def others(self, log_f: LogDensity, q: Distribution, z: Tensor) -> Tensor:
        return torch.cat([normal_like(z, self.draws), moments_of(q).sample()])

    def log_z(self, terms: Terms) -> Tensor:
        with torch.no_grad():
            q, z = moments_of(terms.q), terms.others
            log_r = log_defensive(z, mixture_of(q, "the proposal").log_prob(z))
        sides = (terms.at_others - log_r).split([self.draws, len(z) - self.draws])
        return torch.logaddexp(*map(log_mean_exp, sides)) - math.log(2)


class Chains(nn.Module):
    """Particles of p = f / Z that follow it through training: d ln Z / d theta = E_p[d ln f / d theta].

    Sequential Monte Carlo over the steps of training (Carbone et al. 2023): before a step particles are weighed by
    f_now / f_before where they stand, so that with their weights they are of the present p as they were of the one
    before; where few of them count they are resampled; one Hamiltonian proposal each then moves them within p. They
    start from N(0, I). Importance sampling from N(0, I) or the codes can be evaded by an f that rises elsewhere; these
    go where it rises, as fast as they move.

    `log_z` has the gradient of ln Z and the value 0: a running estimate of the value drifts by nats over a training.
    """

    valued = False
    z: Tensor
    log_weight: Tensor
    log_f: Tensor
    size: Tensor

    def __init__(self, particles: int, latent_dim: int):
        super().__init__()
        self.register_buffer("z", torch.randn(particles, latent_dim))
        self.register_buffer("log_weight", torch.zeros(particles))
        self.register_buffer("log_f", log_standard_normal(self.z))
        self.register_buffer("size", torch.tensor(0.3))

    def others(self, log_f: LogDensity, q: Distribution, z: Tensor) -> Tensor:
        cloud = measured(log_f, self.z, len(self.z))
        log_weight = self.log_weight + cloud.log_f - self.log_f
        few = effective_share(log_weight) < COUNTED  # asked of no host, which would wait
        own = torch.arange(len(log_weight), device=log_weight.device)
        cloud = cloud.chosen(torch.where(few, resample(log_weight[None].double()), own))
        self.log_weight.copy_(torch.where(few, 0.0, log_weight))
        cloud, accepted = move(log_f, cloud, Step(1.0, self.size), len(self.z))
        self.size *= torch.exp(PACE * (accepted - ACCEPTED))
        self.z.copy_(cloud.z)
        self.log_f.copy_(cloud.log_f)
        return cloud.z

    def log_z(self, terms: Terms) -> Tensor:
        mean = (self.log_weight.softmax(0) * terms.at_others).sum()
        return mean - mean.detach()


def make(kind: str, draws: int, host: Host) -> Batchwise | DefensiveBatch | Chains:
    """The normaliser by its name in a prior's settings: "paper", "defensive" or "chains"."""
    if kind == "paper":
        return Batchwise(draws, host.count)
    return DefensiveBatch(draws) if kind == "defensive" else Chains(draws, host.latent_dim)
