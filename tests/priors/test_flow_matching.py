"""The flow against normals in closed form, another solver, and quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from priors import flow_matching, registry
from priors.base import Batch, Codes
from priors.flow_matching import FlowMatching
from priors.parts.normal import DiagonalNormal
from priors.testing import toy_host

MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.0, 0.6, 0.0], [0.6, 0.8, -0.3], [0.0, -0.3, 0.3]], dtype=torch.float64)


class Optimal(nn.Module):
    """What flow matching tends to where the codes are N(MEAN, COVARIANCE): v is then linear in z."""

    def parts(self, t: float) -> tuple[Tensor, Tensor]:
        one = torch.eye(3, dtype=torch.float64)
        slope = (t * COVARIANCE - (1 - t) * one) @ torch.linalg.inv((1 - t) ** 2 * one + t**2 * COVARIANCE)
        return slope, MEAN - t * slope @ MEAN

    def field(self) -> Callable[[Tensor, float], tuple[Tensor, Tensor]]:
        def at(z: Tensor, t: float) -> tuple[Tensor, Tensor]:
            slope, constant = self.parts(t)
            return z @ slope.T + constant, slope.trace().expand(len(z))

        return at


def make(latent_dim: int = 2, **settings: object) -> FlowMatching:
    host = toy_host(latent_dim, dtype=torch.float64)
    return registry.make("flow-matching", host, **{"widths": (24, 16), **settings}).double()


def optimal(**settings: object) -> FlowMatching:
    prior = make(3, **settings)
    prior.velocity = Optimal()
    prior.done.settle()
    return prior


def test_normal_codes_have_a_normal_law():
    """Density and draws at twenty steps, to the solver's error, and to nothing at two hundred."""
    z = MEAN + 2 * torch.randn(50, 3, dtype=torch.float64)
    expected = torch.from_numpy(multivariate_normal(MEAN.numpy(), COVARIANCE.numpy()).logpdf(z.numpy()))
    torch.testing.assert_close(optimal().log_prob(z), expected, rtol=0, atol=2e-3)
    torch.testing.assert_close(optimal(solver_steps=200).log_prob(z), expected, rtol=0, atol=1e-6)
    n = 20_000
    drawn = optimal().sample(n)
    assert ((drawn.mean(0) - MEAN).abs() < 4 * (COVARIANCE.diagonal() / n).sqrt()).all()
    assert ((drawn.T.cov() - COVARIANCE).abs() < 4 * math.sqrt(2 / n)).all()


def test_the_solvers_error_falls_with_its_steps_and_makes_it_unreliable():
    z, errors = MEAN + torch.randn(200, 3, dtype=torch.float64), []
    for steps in (2, 4, 8, 16):
        prior = optimal(solver_steps=steps)
        prior.measure(z)
        (known,) = prior.report()
        assert (known.name, known.unit) == ("solver_error", "nats")
        twice = optimal(solver_steps=2 * steps).log_prob(z)
        assert known.value == pytest.approx((twice - prior.log_prob(z)).abs().mean().item())
        assert prior.reliable == (known.value <= 0.05)
        errors.append(known.value)
    assert errors[0] > 0.05 > 20 * errors[3]
    assert all(few > 4 * many for few, many in pairwise(errors[1:]))


def moved(**settings: object) -> FlowMatching:
    """With weights at which the network counts."""
    prior = make(**settings)
    for parameter in prior.velocity.parameters():
        nn.init.normal_(parameter, std=0.5)
    prior.done.settle()
    return prior


def test_the_divergence_is_the_jacobians_trace():
    prior, z = moved(), torch.randn(6, 2, dtype=torch.float64)
    for t in (0.0, 0.3, 1.0):
        now = torch.tensor([t], dtype=torch.float64)
        v, divergence = prior.velocity.field()(z, t)
        torch.testing.assert_close(v, prior.velocity(z, now))
        jacobians = [torch.autograd.functional.jacobian(lambda y, now=now: prior.velocity(y, now), one) for one in z]
        torch.testing.assert_close(divergence, torch.stack([one.trace() for one in jacobians]))


@pytest.mark.long
def test_the_density_is_another_solvers():
    """scipy's, of adaptive steps, with the divergence by central differences; draws go the same way."""
    prior = moved(solver_steps=60)
    prior.mean.copy_(torch.tensor([3.0, -1.0]))
    prior.scale.copy_(torch.tensor([0.5, 2.0]))

    def velocity(z: np.ndarray, t: float) -> np.ndarray:
        with torch.no_grad():
            return prior.velocity(torch.from_numpy(z)[None], torch.tensor([t]).double())[0].numpy()

    def derivative(t: float, state: np.ndarray) -> np.ndarray:
        z, h = state[:2], 1e-5
        trace = sum((velocity(z + e, t) - velocity(z - e, t)) @ e / (2 * h**2) for e in h * np.eye(2))
        return np.append(velocity(z, t), trace)

    torch.manual_seed(0)
    drawn = prior.sample(3)
    torch.manual_seed(0)
    for z, start in zip(drawn, torch.randn(3, 2, dtype=torch.float64), strict=True):
        way = solve_ivp(derivative, (0, 1), np.append(start.numpy(), 0.0), rtol=1e-8, atol=1e-9).y[:, -1]
        torch.testing.assert_close(z, prior.mean + prior.scale * torch.from_numpy(way[:2]), rtol=0, atol=1e-4)
        expected = multivariate_normal([0, 0]).logpdf(start.numpy()) - way[2] - math.log(0.5 * 2.0)
        assert prior.log_prob(z).item() == pytest.approx(expected, abs=1e-3)


CLUSTERS = torch.tensor([[4.0, 1.0], [8.0, -1.0]], dtype=torch.float64)
CODES = Codes(lambda: DiagonalNormal(CLUSTERS.repeat(100, 1), torch.full((200, 2), math.log(0.25)).double()))
ENTROPY = math.log(2 * math.pi * math.e * 0.25) + math.log(2)
"""Of two far clusters of standard deviation 1/2."""


@pytest.mark.long
def test_fit_finds_the_codes_and_the_density_integrates_to_one():
    prior = make(widths=(32, 32), steps=600, lr=3e-3, solver_steps=10)
    prior.fit(CODES)
    axis, step = torch.arange(-5, 5, 0.15, dtype=torch.float64), 0.15
    points = torch.cartesian_prod(axis + 6, axis)
    z = CODES.posterior.sample((10,)).flatten(0, 1)
    with torch.no_grad():
        mass = prior.log_prob(points).logsumexp(0).item() + 2 * math.log(step)
        cross_entropy = -prior.log_prob(z).mean().item()
    assert abs(mass) < 2e-3
    assert ENTROPY - 0.1 < cross_entropy < ENTROPY + 0.3  # one normal with these moments: 0.7 above
    drawn = prior.sample(2000)
    assert ((drawn[:, 0] > 6).double().mean() - 0.5).abs() < 0.1
    assert (torch.cdist(drawn, CLUSTERS).amin(1) < 1.5).double().mean() > 0.9  # of the codes: 0.99
    assert prior.reliable


def test_until_it_is_fitted_and_with_no_steps_it_is_normal():
    prior, z = make(steps=0), 3 * torch.randn(20, 2, dtype=torch.float64)
    expected = torch.from_numpy(multivariate_normal([0, 0]).logpdf(z.numpy()))
    torch.testing.assert_close(prior.log_prob(z), expected)
    assert (prior.players(), prior.shared_parameters(), prior.report()) == ((), (), ())
    prior.fit(CODES)
    of_codes = multivariate_normal(prior.mean.numpy(), (prior.scale**2).diag().numpy())
    torch.testing.assert_close(prior.log_prob(z), torch.from_numpy(of_codes.logpdf(z.numpy())), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(prior.mean, CLUSTERS.mean(0), atol=0.6, rtol=0)


def test_the_loss_is_least_at_the_expected_velocity():
    """For codes that are one point: v(z, t) = (z_1 - z) / (1 - t), and the loss there is 0."""
    prior, point = make(), torch.tensor([[0.7, -0.4]], dtype=torch.float64)

    class Straight(nn.Module):
        def forward(self, z: Tensor, t: Tensor) -> Tensor:
            return (point - z) / (1 - t)

    codes = point.expand(50, 2)
    assert prior.loss(Batch(codes))[0] > 0.1
    prior.velocity = Straight()
    assert prior.loss(Batch(codes))[0].item() == pytest.approx(0, abs=1e-12)


def test_chunks_change_nothing_and_hold_few_codes(monkeypatch):
    prior, z = moved(), torch.randn(3, 7, 2, dtype=torch.float64)
    whole = prior.log_prob(z)
    sizes = []
    prior.velocity.first.register_forward_hook(lambda module, given, out: sizes.append(len(out)))
    monkeypatch.setattr(flow_matching, "ROWS", 4)
    torch.testing.assert_close(prior.log_prob(z), whole)
    assert max(sizes) == 4


def test_fit_trains_once_and_the_state_is_the_law():
    prior, loaded = make(steps=3), make()
    prior.fit(CODES)
    loaded.load_state_dict(prior.state_dict())
    loaded.fit(Codes(lambda: pytest.fail("the codes are not needed")))
    z = 5 + torch.randn(5, 2, dtype=torch.float64)
    assert torch.equal(loaded.log_prob(z), prior.log_prob(z))
    assert loaded.report() == prior.report()


@pytest.mark.parametrize(
    "settings", [{"widths": (0, 4)}, {"steps": -1}, {"batch_size": 0}, {"lr": 0.0}, {"solver_steps": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"flow-matching needs {next(iter(settings))}"):
        make(**settings)
