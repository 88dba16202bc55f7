"""Markov chains on unnormalised densities, as functions of tensors and callables.

Each chain is a row of z (n, D). `log_f` gives ln f, (n, D) -> (n,), up to a constant; its gradient comes from autograd,
within `torch.no_grad()` too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch._C._functorch import is_batchedtensor

from priors.parts.normal import log_standard_normal

LogDensity = Callable[[Tensor], Tensor]


class Point(NamedTuple):
    """Chains at z (n, D), with ln f there (n,) and its gradient in z (n, D)."""

    z: Tensor
    value: Tensor
    slope: Tensor


At = TypeVar("At", bound=tuple[Tensor, ...])
"""Where chains stand: z first, then what was computed there, a row a chain."""


def mala(log_f: LogDensity, z: Tensor, steps: int, step_size: float) -> tuple[Tensor, float]:
    """Metropolis-adjusted Langevin steps: z' = z + a grad ln f(z) + sqrt(2a) n, n ~ N(0, I), accepted or not.

    a is `step_size` (VAEPP, section 4.3). This is `hmc` with one leapfrog step of size sqrt(2a): the proposal and the
    acceptance probability are the same.

    Returns the chains' ends (n, D) and the mean acceptance probability.
    """
    return hmc(log_f, z, steps, math.sqrt(2 * step_size), leapfrog=1)


def langevin(log_f: LogDensity, z: Tensor, steps: int, size: float) -> Tensor:
    """Unadjusted Langevin steps, z' = z + s^2/2 grad ln f(z) + s n, n ~ N(0, I), s the `size`; the ends, (n, D).

    They leave f invariant in the limit of small s alone, and few of them stay near where they started.
    """
    for _ in range(steps):
        z = z + 0.5 * size**2 * gradient(log_f, z) + size * torch.randn_like(z)
    return z


def hmc(log_f: LogDensity, z: Tensor, steps: int, step_size: float, leapfrog: int = 10) -> tuple[Tensor, float]:
    """Hamiltonian Monte Carlo with unit mass: `steps` proposals of `leapfrog` steps each (Neal 2011, section 3).

    A proposal at which ln f is not a number is rejected. One gradient a leapfrog step.

    Returns the chains' ends (n, D) and the mean acceptance probability.
    """
    z, acceptance = moved(log_f, z, steps, step_size, leapfrog)
    return z, acceptance.item()


def moved(log_f: LogDensity, z: Tensor, steps: int, step_size: float, leapfrog: int) -> tuple[Tensor, Tensor]:
    """The same as `hmc`, with the acceptance left on the device, for callers that do not ask for it."""
    at = Point(z, *value_and_gradient(log_f, z))
    total = torch.zeros((), dtype=z.dtype, device=z.device)
    for _ in range(steps):
        at, accepted = proposed(
            at,
            lambda z: Point(z, *value_and_gradient(log_f, z)),
            lambda at: at.value,
            lambda at: at.slope,
            step_size,
            leapfrog,
        )
        total += accepted / steps
    return at.z, total


def proposed(
    at: At,
    measure: Callable[[Tensor], At],
    value: Callable[[At], Tensor],
    slope: Callable[[At], Tensor],
    step_size: float | Tensor,
    leapfrog: int,
) -> tuple[At, Tensor]:
    """One Hamiltonian proposal a chain, taken or not, and the mean acceptance probability, a scalar on the device.

    at: where the chains stand. measure: z -> the same there. value, slope: ln f (n,) and its gradient (n, D), of these.
    """
    momentum = torch.randn_like(at[0])
    energy = value(at) - 0.5 * momentum.square().sum(-1)
    new = at
    for _ in range(leapfrog):
        momentum = momentum + 0.5 * step_size * slope(new)
        new = measure(new[0] + step_size * momentum)
        momentum = momentum + 0.5 * step_size * slope(new)
    ratio = (value(new) - 0.5 * momentum.square().sum(-1) - energy).nan_to_num(nan=-torch.inf)
    accepted = torch.rand_like(ratio).log() < ratio
    pairs = zip(new, at, strict=True)
    taken = (torch.where(accepted if a.dim() == 1 else accepted[:, None], a, b) for a, b in pairs)
    return type(at)(*taken), ratio.clamp(max=0).exp().mean()


def tune(
    move: Callable[[Tensor, float], tuple[Tensor, float]],
    z: Tensor,
    target: float,
    step_size: float = 0.1,
    rounds: int = 40,
) -> float:
    """The step size at which `move` accepts a share `target`, found by a staircase on pilot chains z.

    The step grows by a factor while more is accepted and shrinks while less is; each turn takes the factor's root.

    move: (z, step size) -> (z, acceptance). Optimal targets in many dimensions are 0.57 for MALA and 0.65 for HMC
    (Roberts and Rosenthal 1998; Beskos et al. 2013). Chains that are kept run afterwards, with the step frozen: a step
    that follows the chain's past does not leave f invariant.
    """
    factor, before = 4.0, None
    for _ in range(rounds):
        z, acceptance = move(z, step_size)
        more = acceptance > target
        if before is not None and more != before:
            factor = math.sqrt(factor)
        step_size *= factor if more else 1 / factor
        before = more
    return step_size


def ais(
    log_f: LogDensity,
    z: Tensor,
    temperatures: Sequence[float],
    step_size: float,
    leapfrog: int = 10,
    log_start: LogDensity = log_standard_normal,
) -> Tensor:
    """Annealed importance sampling (Neal 2001): log weights (n,), float64, with E[weight] = Z, the integral of f.

    The chains go through f_b = f0^(1 - b) f^b with one HMC proposal at every temperature b but 0 and the last:
    `leapfrog` gradients of ln f a temperature and one before them, each with its value.

    z: (n, D), draws from f0. log_start: ln f0, normalised. temperatures: from 0 to 1. With z from f / Z and
    temperatures from 1 to 0 the path is walked back, and E[weight] = 1/Z.
    """
    at, log_weight = ends(log_start, log_f, z), torch.zeros(len(z), dtype=torch.float64, device=z.device)
    for b, next_b in pairwise(temperatures):
        if b > 0:
            measure = partial(ends, log_start, log_f)
            at, _ = proposed(at, measure, partial(Ends.value, b=b), partial(Ends.slope, b=b), step_size, leapfrog)
        log_weight += (next_b - b) * (at.end - at.start).double()
    return log_weight


class Ends(NamedTuple):
    """Chains at z (n, D), with both ends of the path there: ln f0 and ln f (n,), and their gradients in z (n, D).

    Kept apart, they give value and gradient of every density on the path, so that none is computed again when the
    temperature changes.
    """

    z: Tensor
    start: Tensor
    end: Tensor
    start_slope: Tensor
    end_slope: Tensor

    def value(self, b: float) -> Tensor:
        """ln f_b = (1 - b) ln f0 + b ln f, (n,)."""
        return (1 - b) * self.start + b * self.end

    def slope(self, b: float) -> Tensor:
        """Its gradient in z, (n, D)."""
        return (1 - b) * self.start_slope + b * self.end_slope


def ends(log_start: LogDensity, log_end: LogDensity, z: Tensor) -> Ends:
    """What both ends of the path are at z."""
    (start, start_slope), (end, end_slope) = value_and_gradient(log_start, z), value_and_gradient(log_end, z)
    return Ends(z, start, end, start_slope, end_slope)


def value_and_gradient(log_f: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    """ln f(z) (n,) and its gradient in z (n, D), both detached."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = log_f(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def gradient(log_f: LogDensity, z: Tensor) -> Tensor:
    """grad ln f(z) (n, D), detached, also where a loss is mapped over several trainings."""
    if not is_batchedtensor(z):
        return value_and_gradient(log_f, z)[1]
    with torch.no_grad():  # autograd's own call is not to be had within `torch.vmap`
        return torch.func.grad(lambda y: log_f(y).sum())(z)
