"""One density ratio fitted along with an encoder (`implicit`) and after it (`ncp`), on codes of a known law."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from priors import registry
from priors.base import Codes
from priors.implicit import Implicit
from priors.ncp import NCP
from priors.parts.energy import Energy
from priors.parts.fitting import play
from priors.parts.normal import DiagonalNormal
from priors.testing import toy_host

MEANS = torch.tensor([[1.5, 0.0], [-1.0, 1.0], [0.0, -1.5]])
VARIANCES = torch.tensor([[0.1, 0.3], [0.3, 0.1], [0.15, 0.15]])
"""Of three normals in the plane, whose mixture in equal parts is the codes' law: 0.979 nats from N(0, I)."""

STEP = 0.05
POINTS = torch.cartesian_prod(*2 * [torch.arange(-5, 5, STEP)])
STEPS, BATCH, RATE, WIDTHS = 4000, 500, 5e-4, (64, 64)
SEEDS = 4


def posterior(component: Tensor) -> DiagonalNormal:
    """q(z|x), x being the number of its component (B,)."""
    return DiagonalNormal(MEANS[component], VARIANCES[component].log())


IMAGES = torch.arange(3).repeat(100)
HOST = replace(toy_host(count=300), encode=posterior)


def log_q() -> Tensor:
    """ln of the codes' density on the grid, by SciPy's normals."""
    laws = (multivariate_normal(*one) for one in zip(MEANS.numpy(), VARIANCES.numpy(), strict=True))
    return torch.stack([torch.from_numpy(law.logpdf(POINTS.numpy())) for law in laws]).logsumexp(0) - math.log(3)


def divergence(prior: Energy) -> float:
    """KL(q||p) in nats by quadrature, with the prior's own ln Z."""
    log_codes = log_q()
    with torch.no_grad():
        return (log_codes.exp() * STEP**2 * (log_codes - prior.log_prob(POINTS).double())).sum().item()


def afterwards() -> Energy:
    prior = registry.make("ncp", HOST, widths=WIDTHS, steps=STEPS, lr=RATE, batch_size=BATCH)
    assert isinstance(prior, NCP)
    return prior


def along(dropout: float) -> Energy:
    """The player of a training, in which the encoder stands still."""
    prior = registry.make("implicit", HOST, widths=WIDTHS, lr=RATE, turns=1, dropout=dropout).train()
    assert isinstance(prior, Implicit)
    play(prior.players(), lambda: torch.randint(3, (BATCH,)), STEPS)
    return prior.eval()


def divergences(make: Callable[[], Energy]) -> list[float]:
    """One a seed."""
    found = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        prior = make()
        prior.fit(Codes(lambda: posterior(IMAGES)))
        assert prior.reliable
        found.append(divergence(prior))
    return found


def error(values: list[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5


@pytest.mark.slow
def test_a_ratio_fitted_afterwards_is_as_near_to_the_codes_as_one_fitted_along():
    """Both find the codes' law, and neither is told from the other; dropout of a half, implicit's own, holds the ratio
    back by more than either misses, in as many steps."""
    after, joint, held_back = (divergences(one) for one in (afterwards, lambda: along(0.0), lambda: along(0.5)))
    spread = math.hypot(error(after), error(joint), 0.004)  # and the error of either's ln Z
    assert abs(statistics.mean(after) - statistics.mean(joint)) < 3 * spread
    assert max(*after, *joint) < 0.03
    assert min(held_back) > 2 * max(*after, *joint)
