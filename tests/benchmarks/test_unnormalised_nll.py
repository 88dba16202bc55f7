"""The likelihood under a prior that is known up to a constant, against the trapezoid rule over all codes."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from benchmarks.estimators.estimate import Estimate
from benchmarks.metrics import METRICS, Evaluated
from benchmarks.metrics.protocol import ProtocolSettings
from priors.base import Codes
from priors.parts.energy import Energy
from priors.parts.normal import DiagonalNormal, log_standard_normal

FLOAT = torch.float64
SHIFT = 3.0
"""Of ln f: what an unnormalised density is wrong by at least."""


class Wavy(Energy):
    """f = N(z | 0, I) exp(SHIFT + sin(2 z1) + cos(z1 z2))."""

    def log_f(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) + SHIFT + (2 * z[..., 0]).sin() + z.prod(-1).cos()

    def conventions(self) -> dict[str, float]:
        return {"unnormalised": self.log_z.item()}


def trapezoid(log_values: Tensor, steps: int) -> Tensor:
    """ln of the integral over [-8, 8]^2 from ln f on its grid, along the first dimension."""
    return log_values.logsumexp(0) + 2 * math.log(16 / steps)


@pytest.fixture(scope="module")
def made() -> tuple[Evaluated, Tensor, float]:
    """A subject with a Bernoulli decoder and two-dimensional codes, the exact ln p(x) of its images, and ln Z."""
    torch.manual_seed(3)
    w, b = 0.7 * torch.randn(6, 2, dtype=FLOAT), torch.randn(6, dtype=FLOAT)
    x = torch.bernoulli(torch.full((40, 6), 0.5, dtype=FLOAT))
    q = DiagonalNormal(0.3 * torch.randn(40, 2, dtype=FLOAT), torch.full((40, 2), 0.3, dtype=FLOAT))

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        return torch.distributions.Bernoulli(logits=z @ w.T + b).log_prob(x).sum(-1)

    prior = Wavy(2, draws=2000).double()
    exact, log_z = [], []
    for steps in (100, 400):
        axis = torch.linspace(-8, 8, steps + 1, dtype=FLOAT)
        grid = torch.cartesian_prod(axis, axis)
        log_f = prior.log_f(grid)
        log_z.append(trapezoid(log_f, steps).item())
        exact.append(trapezoid(log_likelihood(x, grid[:, None]) + log_f[:, None], steps) - log_z[-1])
    torch.testing.assert_close(exact[0], exact[1], rtol=0, atol=1e-10)
    prior.fit(Codes(lambda: q))
    model = SimpleNamespace(score=log_likelihood)
    subject = Evaluated(
        SimpleNamespace(test=x), ProtocolSettings(samples=(100, 5000)), seed=0, model=model, prior=prior
    )
    subject.q = q
    return subject, exact[1], log_z[1]


def named(subject: Evaluated) -> dict[str, Estimate]:
    return {str(one.estimator): one for one in METRICS["nll"](subject) if one.metric == "nll"}


@pytest.mark.long
def test_nll_is_the_integral_over_codes(made: tuple[Evaluated, Tensor, float]):
    """Within the error of ln Z, which all images share, and 0.005 nat of sampling."""
    subject, exact, _ = made
    found = named(subject)["is-5000+estimate"]
    error = subject.prior.log_prob_error
    assert abs(found.value + exact.mean().item()) < 4 * error + 0.005
    assert 0 < error < 0.03


@pytest.mark.long
def test_the_error_of_ln_z_is_not_averaged_out(made: tuple[Evaluated, Tensor, float]):
    """s.e.^2 of the mean = variance over images / n + the variance of ln Z."""
    subject, _, _ = made
    found = named(subject)["is-5000+estimate"]
    over_images = found.values.std().item() / math.sqrt(len(found.values))
    assert found.error == pytest.approx(math.hypot(over_images, subject.prior.log_prob_error))
    assert found.error > over_images


def test_the_papers_protocol_stands_beside_under_its_own_name(made: tuple[Evaluated, Tensor, float]):
    """Without ln Z the figure is off by it, and no row takes both for one estimator."""
    subject, _, log_z = made
    found = named(subject)
    assert log_z > SHIFT
    off = found["is-5000+estimate"].value - found["is-5000+unnormalised"].value
    assert off == pytest.approx(subject.prior.log_z.item())
    assert "not comparable" in str(*found["is-5000+unnormalised"].remarks)
