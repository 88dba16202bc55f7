"""Sequential Monte Carlo from N(0, I) to an unnormalised density: its normaliser, and draws of it.

The way is f_b = N(0, I)^(1 - b) f^b, b from 0 to 1 (Neal 2001; Del Moral, Doucet and Jasra 2006). At every b particles
are weighed by f_b / f_(the b before), resampled, and moved by Hamiltonian Monte Carlo that leaves f_b invariant. With
temperatures and step sizes that do not depend on the particles, the product over b of the mean weights has the
expectation Z = integral of f whatever the moves reach: where they miss a mode it is too low, and it exceeds Z by a
factor e^k with probability at most e^-k (Markov's inequality).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from priors.parts.mcmc import LogDensity, proposed, value_and_gradient
from priors.parts.normal import log_mean_exp, log_standard_normal

LEAPFROG = 5
"""Steps of a proposal: fewer walk at random, and more gain less than further temperatures."""

COUNTED = 0.98
"""The effective share of the particles that the next temperature is to leave."""

ACCEPTED = 0.65
"""The acceptance that a step size is adapted to (Beskos et al. 2013)."""

MOST = 1000
"""Temperatures after which a path ends with one step to b = 1: f is then beyond it, and the groups' spread says so."""


class Cloud(NamedTuple):
    """Particles z (n, D), ln f - ln N(0, I) there (n,), and its gradient in z (n, D)."""

    z: Tensor
    ratio: Tensor
    slope: Tensor

    @property
    def log_f(self) -> Tensor:
        """ln f at the particles, (n,)."""
        return self.ratio + log_standard_normal(self.z)

    def chosen(self, index: Tensor) -> Cloud:
        """The particles of these numbers, index (m,), equal ones among them."""
        return Cloud(*(part[index] for part in self))


class Step(NamedTuple):
    """A temperature b and the step size of the moves at it, a scalar."""

    b: float
    size: float | Tensor


class Annealed(NamedTuple):
    """ln Z by each of the G independent groups of particles (G,), float64, and the particles themselves (n, D).

    The mean of exp(log_z) over groups is unbiased for Z on a path that is independent of the particles.
    """

    log_z: Tensor
    z: Tensor


def measured(log_f: LogDensity, z: Tensor, rows: int) -> Cloud:
    """The cloud at z (n, D), `rows` particles at a time."""
    parts = [value_and_gradient(lambda z: log_f(z) - log_standard_normal(z), part) for part in z.split(rows)]
    ratio, slope = (torch.cat(part) for part in zip(*parts, strict=True))
    return Cloud(z, ratio.nan_to_num(nan=-torch.inf), slope)


def move(log_f: LogDensity, cloud: Cloud, step: Step, rows: int) -> tuple[Cloud, Tensor]:
    """One Hamiltonian proposal a particle under f_b, accepted or not, and the mean acceptance probability, a scalar."""
    return proposed(
        cloud,
        lambda z: measured(log_f, z, rows),
        lambda at: log_standard_normal(at.z) + step.b * at.ratio,
        lambda at: step.b * at.slope - at.z,
        step.size,
        LEAPFROG,
    )


def effective_share(log_weight: Tensor) -> Tensor:
    """(sum w)^2 / (n sum w^2) of log weights (n,), a scalar."""
    weight = log_weight.softmax(0)
    return 1 / (len(weight) * weight.square().sum())


def resample(log_weight: Tensor) -> Tensor:
    """Indices (n,) of systematic resampling within each group, from log weights (G, n / G)."""
    groups, size = log_weight.shape
    total = log_weight.softmax(1).cumsum(1)
    at = (torch.arange(size, device=total.device) + torch.rand(groups, 1, device=total.device)) / size
    index = torch.searchsorted(total, at.to(total.dtype) * total[:, -1:]).clamp(max=size - 1)
    return (index + size * torch.arange(groups, device=index.device)[:, None]).flatten()


def next_temperature(ratio: Tensor, b: float) -> float:
    """The b' > b, 1 at most, at which weights exp((b' - b) ratio) have the effective share COUNTED, by bisection."""

    def counted(difference: float) -> float:
        return effective_share(difference * ratio.double()).item()

    low, high = 0.0, 1.0 - b
    if counted(high) >= COUNTED:
        return 1.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if counted(middle) >= COUNTED else (low, middle)
    return b + high


def path(log_f: LogDensity, start: Tensor, rows: int, size: float = 0.3) -> list[Step]:
    """Temperatures up to 1 and step sizes, found by pilot particles that start from N(0, I), (n, D)."""
    cloud, b = measured(log_f, start, rows), 0.0
    steps: list[Step] = []
    while b < 1:
        following = next_temperature(cloud.ratio, b) if len(steps) < MOST else 1.0
        weight = (following - b) * cloud.ratio[None].double()
        b = following
        cloud, accepted = move(log_f, cloud.chosen(resample(weight)), Step(b, size), rows)
        steps.append(Step(b, size))
        size = min(size * math.exp(accepted.item() - ACCEPTED), 1.0)
    return steps


def along(log_f: LogDensity, steps: list[Step], start: Tensor, groups: int, rows: int) -> Annealed:
    """Particles led from N(0, I), start (n, D), along a path in independent groups of equal size."""
    cloud, b = measured(log_f, start, rows), 0.0
    log_z = start.new_zeros(groups, dtype=torch.float64)
    for step in steps:
        weight = (step.b - b) * cloud.ratio.double().view(groups, -1)
        log_z += log_mean_exp(weight, 1)
        cloud, _ = move(log_f, cloud.chosen(resample(weight)), step, rows)
        b = step.b
    return Annealed(log_z, cloud.z)


def annealed(log_f: LogDensity, draw: Callable[[int], Tensor], particles: int, groups: int, rows: int) -> Annealed:
    """ln Z and draws of f by `particles` in `groups`, on a path that a quarter as many pilot particles found.

    draw: n -> n draws from N(0, I), (n, D).
    """
    steps = path(log_f, draw(max(1, particles // 4)), rows)
    return along(log_f, steps, draw(particles // groups * groups), groups, rows)
