"""The bound and the draws against the sampler's own density: quadrature, sums over binomial counts, simulation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from priors import registry
from priors.base import Batch
from priors.parts.normal import DiagonalNormal
from priors.snis import SNIS
from priors.testing import toy_codes, toy_host

AXIS = torch.linspace(-8, 8, 161, dtype=torch.float64)
POINTS = torch.cartesian_prod(AXIS, AXIS)
NORMAL = (-0.5 * POINTS.square().sum(1)).exp() / (2 * math.pi) * (AXIS[1] - AXIS[0]) ** 2
"""N(z | 0, I) dz at the points: the trapezoid rule."""


class Half(nn.Module):
    """U = `gap` where z_1 > 0, else 0: sums over draws are then of a binomial number of draws."""

    gap = 3.0

    def forward(self, z: Tensor) -> Tensor:
        return self.gap * (z[..., 0] > 0)


class Hill(nn.Module):
    """U = 2 sin(2 z_1) + cos(3 z_2)."""

    def forward(self, z: Tensor) -> Tensor:
        return 2 * (2 * z[..., 0]).sin() + (3 * z[..., 1]).cos()


def law(energy: nn.Module, **settings: int) -> SNIS:
    prior = registry.make("snis", toy_host(dtype=torch.float64), **{"widths": (8,), **settings}).double()
    prior.network = energy
    prior.fit(toy_codes(toy_host()))
    return prior


def log_ratios(proposals: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of `Half`, at U = 0 and U = gap: ln p - ln N, the bound - ln N, and the bound's deviation over sets, exactly.

    Of K - 1 draws a binomial number m lies right of 0, and their sum is m e^gap + K - 1 - m.
    """
    m = torch.arange(proposals, dtype=torch.float64)
    weight = (torch.lgamma(torch.tensor(float(proposals))) - torch.lgamma(m + 1) - torch.lgamma(proposals - m)).exp()
    weight = weight / weight.sum()
    high, energy = math.exp(Half.gap), torch.tensor([[0.0], [Half.gap]]).double()
    log_w = energy + math.log(proposals) - (energy.exp() + m * high + proposals - 1 - m).log()
    bound = (weight * log_w).sum(1)
    spread = (weight * (log_w - bound[:, None]).square()).sum(1).sqrt()
    return (weight * log_w.exp()).sum(1).log(), bound, spread


SIDES = torch.tensor([[-1.0, 0.5], [1.0, 0.5]], dtype=torch.float64)
LOG_N = -math.log(2 * math.pi) - 0.5 * 1.25


@pytest.mark.parametrize("proposals", [2, 3, 8, 30])
def test_bound_is_the_mean_over_the_other_draws_and_below_the_samplers_density(proposals):
    log_p, bound, spread = log_ratios(proposals)
    prior = law(Half(), proposals=proposals, sets=4000)
    found = prior.log_prob(SIDES) - LOG_N
    assert ((found - bound).abs() < 4 * spread / math.sqrt(4000)).all()
    assert (found < log_p).all()
    chance = torch.tensor([0.5, 0.5]).double() * log_p.exp()
    assert chance.sum().item() == pytest.approx(1)  # or the oracle were none
    share = (prior.sample(20_000)[:, 0] > 0).double().mean().item()
    assert abs(share - chance[1].item()) < 4 * math.sqrt(0.25 / 20_000)


@pytest.mark.long
def test_bound_rises_to_the_energys_density_with_the_number_of_proposals():
    hill = Hill()
    log_z = (hill(POINTS).exp() * NORMAL).sum().log()
    weight = (hill(POINTS) - log_z).exp() * NORMAL
    log_ratio = hill(POINTS) - log_z
    entropy, gaps = (weight * log_ratio).sum(), []
    for proposals in (2, 8, 64, 1024):
        prior = law(hill, proposals=proposals, sets=400)
        found = prior.log_prob(POINTS) + 0.5 * POINTS.square().sum(1) + math.log(2 * math.pi)
        gaps.append((entropy - (weight * found).sum()).item())
    assert gaps[0] > 3 * gaps[1] / 2 > 3 * gaps[2] > 0
    assert abs(gaps[3]) < 0.01
    assert gaps[0] > 0.3


@pytest.mark.parametrize("proposals", [2, 5])
def test_draws_are_of_the_samplers_law(proposals):
    """E[g] of the draw is E[sum_k g(z_k) e^U(z_k) / sum_k e^U(z_k)] over K draws: for K = 2 by quadrature, else by
    simulation with weights instead of a choice."""
    hill, n = Hill(), 40_000
    drawn = law(hill, proposals=proposals).sample(n).sin()
    if proposals == 2:
        axis = torch.linspace(-6, 6, 41, dtype=torch.float64)
        points = torch.cartesian_prod(axis, axis)
        normal = (-0.5 * points.square().sum(1)).softmax(0)
        e = hill(points).exp()
        p = normal * (2 * e[:, None] / (e[:, None] + e) @ normal)
        expected, error = (p[:, None] * points.sin()).sum(0), 0.0
    else:
        z = torch.randn(n, proposals, 2, dtype=torch.float64)
        expected, error = (hill(z).softmax(1)[..., None] * z.sin()).sum(1).mean(0), 1 / math.sqrt(n)
    assert ((drawn.mean(0) - expected).abs() < 4 * math.hypot(error, 0.7 / math.sqrt(n))).all()
    assert drawn.mean(0)[0] > 0.1  # those of N(0, I) are at 0


def test_training_has_fresh_draws_and_the_bounds_gradient():
    """Against the gradient of the bound by automatic differentiation of its definition, at the same draws."""
    prior = registry.make("snis", toy_host(dtype=torch.float64), proposals=9, widths=(6, 5)).double()
    z = torch.randn(4, 2, dtype=torch.float64)
    q = DiagonalNormal(torch.zeros_like(z), torch.zeros_like(z))
    torch.manual_seed(5)
    loss = prior.divergence(Batch(z), q, z)
    torch.manual_seed(5)
    others = torch.randn(8, 2, dtype=torch.float64)
    both = torch.cat([prior.network(z)[:, None], prior.network(others).expand(4, -1)], 1)
    expected = q.log_prob(z) - (q.log_prob(z) + both[:, 0] - (both.exp().sum(1) / 9).log())
    torch.testing.assert_close(loss, expected)
    weights = list(prior.parameters())
    ours, theirs = (torch.autograd.grad(one.sum(), weights) for one in (loss, expected))
    torch.testing.assert_close(ours, theirs)
    assert not torch.equal(prior.divergence(Batch(z), q, z), loss)
    assert torch.equal(prior.eval().divergence(Batch(z), q, z), q.log_prob(z) - prior.log_prob(z))


@pytest.mark.long
@pytest.mark.parametrize("proposals", [3, 20])
def test_fit_tells_the_bounds_error_and_gap(proposals):
    log_p, bound, spread = log_ratios(proposals)
    prior = law(Half(), proposals=proposals, sets=2000)
    chance = torch.tensor([0.5, 0.5]).double() * log_p.exp()
    (gap,) = prior.report()
    assert (gap.name, gap.unit) == ("bound_gap", "nats")
    assert gap.value == pytest.approx((chance * (log_p - bound)).sum().item(), rel=0.2)
    assert prior.log_prob_error <= spread.max().item() / math.sqrt(2000) * 1.1
    means = [(chance * (law(Half(), proposals=proposals, sets=200).log_prob(SIDES) - LOG_N)).sum() for _ in range(60)]
    of_200 = prior.log_prob_error * math.sqrt(10)
    assert torch.stack(means).std().item() == pytest.approx(of_200, rel=0.4)  # of 60: 9 % off


def test_validation_follows_the_weights():
    prior, z = registry.make("snis", toy_host(), widths=(8,), proposals=64).eval(), torch.randn(5, 2)
    with torch.no_grad():
        prior.network.layers[0][0].weight.mul_(20)
        before = prior.log_prob(z)
        prior.before_validation(toy_codes(toy_host()))
        assert not torch.equal(prior.log_prob(z), before)
        now = prior.log_sums.clone()
        prior.fit(toy_codes(toy_host()))
    assert len(now.unique()) == 16
    assert len(prior.log_sums.unique()) == 256


@pytest.mark.parametrize("settings", [{"proposals": 1}, {"sets": 1}, {"widths": ()}, {"widths": (5, 0)}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"snis needs {next(iter(settings))}"):
        registry.make("snis", toy_host(), **settings)
