"""What the laws look at: a registered prior, built, fitted, drawn from and integrated once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from priors import registry
from priors.base import Density, Prior, density
from priors.conformance.law import demand
from priors.testing import ToyHost, toy_codes, toy_host

DRAWS = 10_000
"""Draws that are compared with the density."""

ERRORS = 4.0
"""Standard errors by which an estimate may miss its target."""

LIKELY = 1e-4
"""The least p-value of draws that follow the density."""

CLOSE = 1e-8
"""Relative difference that rounding in float64 explains."""

MOVED = 0.3
"""Standard deviation of the noise on every weight, over the root of its number of inputs."""


@dataclass(frozen=True)
class Trial:
    """A registered prior with its settings, and what several laws need of it. What it keeps is to be looked at only."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def kind(self) -> type[Prior]:
        """The prior's class; ValueError with the near name for an unknown one."""
        return registry.PRIORS[self.name]

    @cached_property
    def host(self) -> ToyHost:
        """The autoencoder of all laws that need no other."""
        return small_host()

    def build(self, seed: int = 0, host: ToyHost | None = None) -> Prior:
        """The prior as it is in training, at random weights."""
        host = host or self.host
        torch.manual_seed(seed)
        prior = self.kind(host, **self.settings).to(next(host.autoencoder.parameters()))
        with torch.no_grad():
            for parameter in prior.parameters():
                inputs = parameter[0].numel() if parameter.dim() > 1 else 1
                parameter.add_(MOVED / math.sqrt(inputs) * torch.randn_like(parameter))
        return prior

    def fit(self, prior: Prior) -> Prior:
        """The same prior as it is after training."""
        prior.eval()
        torch.manual_seed(0)
        prior.fit(toy_codes(self.host))
        return prior

    @cached_property
    def fitted(self) -> Prior:
        """The prior as it is after training, in float64."""
        return self.fit(self.build())

    @cached_property
    def density(self) -> Density:
        """The fitted prior, for laws of a density."""
        return density(self.fitted)

    @cached_property
    def draws(self) -> Tensor:
        """z ~ p, (DRAWS, 2)."""
        torch.manual_seed(0)
        return self.fitted.sample(DRAWS)

    @cached_property
    def log_p(self) -> Tensor:
        """ln p at the cells of the grid."""
        with torch.no_grad():
            return torch.cat([self.density.log_prob(part) for part in grid().points.split(10_000)])

    @cached_property
    def share(self) -> Tensor:
        """The probability of every cell, normalised over the grid: the law `mass` alone looks at the constant."""
        return (self.log_p + grid().area.log()).softmax(0)


def small_host(latent_dim: int = 2, dtype: torch.dtype = torch.float64, device: str = "cpu") -> ToyHost:
    """A toy autoencoder, the same weights every time."""
    torch.manual_seed(0)
    host = toy_host(latent_dim, dtype=dtype)
    host.autoencoder.to(device)
    return host


class Grid(NamedTuple):
    """Cells of the plane, row by row: edges on either axis (n + 1,), midpoints (n^2, 2) and areas (n^2,)."""

    edges: Tensor
    points: Tensor
    area: Tensor


@cache
def grid() -> Grid:
    """Cells of side 0.1 on [-8, 8]^2, where a sum over midpoints is the trapezoid rule, then ever wider ones.

    They reach beyond 1000, since heavy tails count. It is too coarse for standard deviations below 0.2 or above 10.
    """
    middle = 0.1 * torch.arange(-80, 81, dtype=torch.float64)
    beyond = middle[-1] + (0.1 * 1.1 ** torch.arange(1, 73, dtype=torch.float64)).cumsum(0)
    edges = torch.cat([-beyond.flip(0), middle, beyond])
    centre, width = (edges[1:] + edges[:-1]) / 2, edges.diff()
    return Grid(edges, torch.cartesian_prod(centre, centre), torch.outer(width, width).flatten())


def points(n: int) -> Tensor:
    """z about the origin, (n, 2), the same every time; torch's random state stands where it left it."""
    torch.manual_seed(0)
    return 2 * torch.randn(n, 2, dtype=torch.float64)


def same(one: str, a: Tensor, other: str, b: Tensor, fix: str) -> None:
    """Raises Broken unless a and b agree but for rounding."""
    gap = (a - b).abs().max().item()
    demand(torch.allclose(a, b, CLOSE, CLOSE), f"{one} and {other} differ by up to {gap:.4g}", fix)
