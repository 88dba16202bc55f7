"""ln p(x) from below, and for simulated images from above too, by annealed importance sampling.

Chains go from f0 = N(m, diag(a s)^2), where q(z|x) = N(m, diag(s)^2) is the encoder's posterior and a its inflation,
to f = p(z) p(x|z), whose integral is p(x), by f_b = f0^(1 - b) f^b (Neal 2001; Wu et al. 2017). They live in the
coordinates u = (z - m) / (a s): there f0 is N(0, I), one step size suits all dimensions and images, and f takes the
factor prod_d a s_d.

With b rising from 0 to 1 and u ~ f0 the weights have E[w] = p(x). With b falling and u an exact draw from p(z|x) they
have E[w] = 1/p(x) (Grosse et al. 2015). Such a draw is known for simulated images alone, z ~ p(z), x ~ p(x|z), and it
is one draw, from which all chains of the image start. They depend on each other, so that more chains do not close the
gap that this draw leaves; more steps do. But the mean of their weights is still unbiased, and -ln mean_c w_c an upper
bound in expectation by Jensen's inequality. The mean of -ln w_c is one too, and never below it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.estimators.indexed import Indexed
from priors.parts.mcmc import LogDensity, ais, hmc, tune
from priors.parts.normal import DiagonalNormal, log_mean_exp

ROWS = 1024
"""Chains moved at a time, which bounds memory. A constant, as the random numbers follow from it."""


@dataclass(frozen=True)
class Joint:
    """p(x, z) = p(z) p(x|z) of N images, and the encoder's word on where in z it lies.

    x: the images, x[i:j] (j - i, *shape), a tensor or anything sliced like one. q: batch (N,), already encoded.
    log_likelihood: (x (B, *shape), z (C, B, D)) -> (C, B). log_prior: (C, B, D) -> (C, B), normalised.
    """

    x: Indexed
    q: DiagonalNormal
    log_likelihood: Callable[[Tensor, Tensor], Tensor]
    log_prior: LogDensity

    def __len__(self) -> int:
        return len(self.q.mean)

    def log_f(self, images: slice, inflation: float) -> LogDensity:
        """ln p(x, z) + sum_d ln a s_d at z = m + a s u, of B images: u (C B, D) -> (C B,). Its integral is p(x)."""
        x, q = self.x[images], self.q[images]
        log_scale = 0.5 * q.log_variance + math.log(inflation)
        scale, log_jacobian = log_scale.exp(), log_scale.sum(-1)

        def log_f(u: Tensor) -> Tensor:
            z = q.mean + scale * u.unflatten(0, (-1, len(scale)))
            return (self.log_likelihood(x, z) + self.log_prior(z) + log_jacobian).flatten()

        return log_f


@dataclass(frozen=True)
class Annealing:
    """How many chains an image has, and how they are led.

    steps: b = 0, 1/steps, ..., 1. Equal steps: those of a sigmoid, which Wu et al. take from the prior, gain nothing
        from q.
    chains: an image's.
    leapfrog: steps of the one proposal of Hamiltonian Monte Carlo at every b. With a single one chains walk at
        random; more than two or three cost as much as further temperatures and gain less.
    inflation: a. Standard deviations that are too small cost more than those that are too large, but in many dimensions
        both do, as f0 and f then hardly overlap.
    """

    steps: int = 1000
    chains: int = 16
    leapfrog: int = 2
    inflation: float = 1.2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"annealing needs {name} > 0, not {value}")

    @property
    def block(self) -> int:
        """Images whose chains move together."""
        return max(1, ROWS // self.chains)

    def temperatures(self) -> list[float]:
        """b, ascending."""
        return [step / self.steps for step in range(self.steps + 1)]

    def draws(self, like: Tensor) -> Tensor:
        """f0's, (C, B, D), for codes shaped `like` (B, D)."""
        return torch.randn_like(like.expand(self.chains, *like.shape))

    def log_mean_weight(self, log_f: LogDensity, u: Tensor, temperatures: list[float], step_size: float) -> Tensor:
        """ln mean_c w_c of chains from u (C, B, D), (B,), float64."""
        log_weight = ais(log_f, u.flatten(0, 1), temperatures, step_size, self.leapfrog)
        return log_mean_exp(log_weight.unflatten(0, u.shape[:2]))


class Bounds(NamedTuple):
    """Bounds in expectation on ln p(x) of N simulated images, (N,) each, float64, nats.

    E[exp(lower)] = p(x) and E[exp(-upper)] = 1/p(x), hence E[lower] <= ln p(x) <= E[upper]: the mean difference says
    how far either can be off. A single value is on the wrong side by more than t nats with probability below exp(-t).
    """

    lower: Tensor
    upper: Tensor


def lower_bound(
    joint: Joint,
    annealing: Annealing,
    step_size: float,
    seed: Callable[[int], int],
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """ln mean_c w_c of N images, (N,), float64, nats: a lower bound in expectation on ln p(x), of any images.

    Images move in blocks, each with its own stream, seeded by seed(its first image): other blocks change nothing.
    A proposal at which the density is not a number is rejected; a draw from f0 there makes the image's bound nan.
    Gradients are taken in z alone.

    step_size: in the chains' coordinates, by `tuned_step`. progress: told how many images are done.
    """
    return in_blocks(lambda images: below(joint, images, annealing, step_size), len(joint), annealing, seed, progress)


def bounds(
    joint: Joint,
    z: Tensor,
    annealing: Annealing,
    step_size: float,
    seed: Callable[[int], int],
    progress: Callable[[int], None] = lambda done: None,
) -> Bounds:
    """Both bounds for images that the model drew, by bidirectional Monte Carlo (Grosse et al. 2015).

    z: (N, D), drawn from the prior; joint.x: drawn from p(x|z). Real images and codes of theirs give no upper bound.
    The rest is as for `lower_bound`.
    """

    def block(images: slice) -> Tensor:
        sides = below(joint, images, annealing, step_size), above(joint, z, images, annealing, step_size)
        return torch.stack(sides, 1)

    return Bounds(*in_blocks(block, len(joint), annealing, seed, progress).unbind(1))


def tuned_step(joint: Joint, annealing: Annealing, seed: int, target: float = 0.65) -> float:
    """The step size at which a share `target` of moves on the posteriors of the first block's images is accepted.

    At most a quarter of an orbit a proposal, pi/2 in units of q's deviations: that is a draw from N(m, diag(s)^2) which
    owes nothing to the last one, while half an orbit leads to the last one's mirror image, accepted and of no use.
    The posterior, b = 1, is the narrowest law of the path, so that more is accepted before it; a step size for every
    temperature gains nothing.

    The pilot's chains are its own. With a seed that no block has, its result is independent of the draws reported,
    whose weights stay unbiased even for the same images.
    """
    torch.manual_seed(seed)
    images = slice(0, min(annealing.block, len(joint)))
    log_f = joint.log_f(images, annealing.inflation)
    u = annealing.draws(joint.q.mean[images]).flatten(0, 1)
    step_size = tune(lambda u, step_size: hmc(log_f, u, 1, step_size, annealing.leapfrog), u, target)
    return min(step_size, 0.5 * math.pi / (annealing.leapfrog * annealing.inflation))


def below(joint: Joint, images: slice, annealing: Annealing, step_size: float) -> Tensor:
    """ln mean_c w_c of chains from f0 to f, of B images, (B,)."""
    u = annealing.draws(joint.q.mean[images])
    log_f = joint.log_f(images, annealing.inflation)
    return annealing.log_mean_weight(log_f, u, annealing.temperatures(), step_size)


def above(joint: Joint, z: Tensor, images: slice, annealing: Annealing, step_size: float) -> Tensor:
    """-ln mean_c w_c of chains from f to f0, all of an image's from its exact posterior draw in z (N, D), (B,)."""
    q = joint.q[images]
    u = (z[images] - q.mean) * (-0.5 * q.log_variance).exp() / annealing.inflation
    u = u.expand(annealing.chains, *u.shape)
    log_f = joint.log_f(images, annealing.inflation)
    return -annealing.log_mean_weight(log_f, u, annealing.temperatures()[::-1], step_size)


def in_blocks(
    estimate: Callable[[slice], Tensor],
    count: int,
    annealing: Annealing,
    seed: Callable[[int], int],
    progress: Callable[[int], None],
) -> Tensor:
    """Estimates (B, ...) of one block after the other, each from its own stream: (count, ...)."""
    parts = []
    for first in range(0, count, annealing.block):
        images = slice(first, min(first + annealing.block, count))
        torch.manual_seed(seed(first))
        parts.append(estimate(images))
        progress(images.stop)
    return torch.cat(parts)
