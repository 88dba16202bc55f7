"""Whether ln Z's stated error covers: `fit` repeated on densities whose Z is known. Slow; `-s` prints the table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from priors.base import Codes
from priors.parts.energy import Energy
from priors.parts.networks import code_critic
from priors.parts.normal import DiagonalNormal, log_standard_normal

REPEATS = 60
"""Fits a case."""


class Given(Energy):
    def __init__(self, dim: int, log_f: Callable[[Tensor], Tensor], **settings: object):
        super().__init__(dim, **settings)
        self.given = log_f

    def log_f(self, z: Tensor) -> Tensor:
        return self.given(z)


class Case(NamedTuple):
    dim: int
    log_f: Callable[[Tensor], Tensor]
    log_z: float


def tilted(dim: int, b: float) -> Case:
    """N(z | 0, I) exp(-b ||z||^2 / 2)."""
    return Case(dim, lambda z: log_standard_normal(z) - 0.5 * b * z.square().sum(-1), -0.5 * dim * math.log1p(b))


def learned() -> Case:
    """N(z | 0, I) exp(6 T(z)) in the plane, T a random network, by the trapezoid rule."""
    network = code_critic(2, (16,), nn.Tanh).requires_grad_(False)
    nn.init.normal_(network.layers[0][0].weight, std=1.5)
    axis = torch.linspace(-9, 9, 1201)
    points = torch.cartesian_prod(axis, axis)

    def log_f(z: Tensor) -> Tensor:
        return log_standard_normal(z) + 6 * network(z)

    with torch.no_grad():
        log_z = log_f(points).double().logsumexp(0).item() + 2 * math.log(18 / 1200)
    return Case(2, log_f, log_z)


def modes(*parts: tuple[float, float, float]) -> Case:
    """e^5 times a mixture of normals in 40 dimensions: of a weight, a distance along (1, ..., 1), and a deviation."""
    laws = [
        DiagonalNormal(torch.full((40,), at / math.sqrt(40)), torch.full((40,), 2 * math.log(s))) for _, at, s in parts
    ]
    log_weight = torch.tensor([math.log(weight) for weight, _, _ in parts])[:, None]

    def log_f(z: Tensor) -> Tensor:
        return 5 + (torch.stack([law.log_prob(z) for law in laws]) + log_weight).logsumexp(0)

    return Case(40, log_f, 5.0)


CASES: dict[str, Callable[[], Case]] = {
    "D = 2, a random network": learned,
    "D = 4, narrower than N(0, I)": lambda: tilted(4, 1.0),
    "D = 10, narrower": lambda: tilted(10, 3.0),
    "D = 10, N(0, 1.5^2 I)": lambda: tilted(10, 1 / 2.25 - 1),
    "D = 40, one far mode": lambda: modes((1.0, 6.0, 0.3)),
    "D = 40, two modes": lambda: modes((0.7, 5.0, 0.4), (0.3, -5.0, 0.4)),
}


def codes(dim: int) -> Codes:
    """Of posteriors that are nowhere near the far modes."""
    mean = 0.6 * torch.randn(100, dim)
    return Codes(lambda: DiagonalNormal(mean, torch.full_like(mean, 2 * math.log(0.2))))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_95_percent_intervals_cover(name):
    case = CASES[name]()
    found = []
    for seed in range(REPEATS):
        torch.manual_seed(seed)
        prior = Given(case.dim, case.log_f)
        prior.fit(codes(case.dim))
        assert prior.reliable
        found.append((*prior.fitted.kept[:2], *prior.fitted.mixture[:2]))
    value, error, *mixture = torch.tensor(found, dtype=torch.float64).T
    covered, of_mixture = (
        ((v - case.log_z).abs() <= 1.96 * e + 1e-6).double().mean().item() for v, e in ((value, error), mixture)
    )
    print(
        f"\n{name}: covered {covered:.2f}, error {error.mean():.4f}, spread {value.std():.4f}, bias "
        f"{value.mean() - case.log_z:+.4f}; the mixture alone: {of_mixture:.2f}, {mixture[1].mean():.3f}, "
        f"{mixture[0].mean() - case.log_z:+.2f}"
    )
    # Two modes in 40 dimensions cover 0.89 of 300 fits, for their error is a tenth too small. Of 60 at that rate fewer
    # than 0.8 cover in one try of 80.
    assert covered >= 0.8
