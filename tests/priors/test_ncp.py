"""The noise-contrastive prior on codes of known density: ratio, ln Z, mass and draws, against quadrature."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from priors import registry
from priors.base import Codes, Unsupported
from priors.ncp import NCP
from priors.parts.normal import DiagonalNormal
from priors.testing import toy_codes, toy_host

STEP = 0.05
AXIS = torch.arange(-7, 7, STEP, dtype=torch.float64)
POINTS = torch.cartesian_prod(AXIS, AXIS)
MEANS = torch.tensor([[1.5, 0.0], [-1.0, 1.0]], dtype=torch.float64)
VARIANCE = 0.3


def log_normal(z: Tensor, mean: Tensor, variance: float) -> Tensor:
    return torch.from_numpy(multivariate_normal(mean.numpy(), variance).logpdf(z.numpy()))


def log_codes(z: Tensor) -> Tensor:
    """ln of the codes' density, a mixture of two normals."""
    return torch.logaddexp(*(log_normal(z, mean, VARIANCE) for mean in MEANS)) - math.log(2)


CODES = Codes(
    lambda: DiagonalNormal(MEANS.repeat(200, 1), torch.full((400, 2), math.log(VARIANCE), dtype=torch.float64))
)
LOG_BASE = log_normal(POINTS, torch.zeros(2), 1.0)
Q = log_codes(POINTS).exp() * STEP**2


def fitted(**settings: object) -> NCP:
    small = {"widths": (32, 32), "steps": 500, "lr": 3e-3}
    prior = registry.make("ncp", toy_host(dtype=torch.float64), **{**small, **settings}).double()
    prior.fit(CODES)
    return prior


def divergence(prior: NCP) -> float:
    """KL of the codes from p, by quadrature."""
    with torch.no_grad():
        return (Q * (log_codes(POINTS) - prior.log_prob(POINTS))).sum().item()


@pytest.mark.long
@pytest.mark.parametrize("stages", [1, 2])
def test_the_ratio_is_that_of_the_codes_and_p_integrates_to_one(stages):
    prior = fitted(stages=stages)
    base = (Q * (log_codes(POINTS) - LOG_BASE)).sum().item()
    with torch.no_grad():
        log_f = LOG_BASE + prior.log_ratio(POINTS)
        misfit = (Q * (log_f - log_codes(POINTS)).abs()).sum().item()
        log_z = log_f.logsumexp(0).item() + 2 * math.log(STEP)
        mass = prior.log_prob(POINTS).logsumexp(0).item() + 2 * math.log(STEP)
    assert base > 0.5
    assert misfit < 0.3
    assert divergence(prior) < 0.06
    assert 0 < prior.log_prob_error < 0.05
    assert abs(prior.log_z.item() - log_z) < 4 * prior.log_prob_error
    assert abs(mass) < 4 * prior.log_prob_error
    assert prior.reliable


@pytest.mark.long
def test_a_further_stage_mends_what_the_first_left():
    """The first stage has hardly begun to learn; the second, on its law, goes on from there."""
    torch.manual_seed(0)
    one = divergence(fitted(steps=40, lr=1e-3))
    torch.manual_seed(0)
    assert divergence(fitted(steps=40, lr=1e-3, stages=4)) < one - 0.1


class Bowl(nn.Module):
    """ln r = 1 - ||z - (1, 0)||^2 / 2: N r is a normal of variance 1/2 about (1/2, 0), times Z."""

    def forward(self, z: Tensor) -> Tensor:
        return 1 - 0.5 * (z - torch.tensor([1.0, 0.0]).to(z)).square().sum(-1)


BOWL = torch.tensor([0.5, 0.0], dtype=torch.float64)
LOG_Z = 1 - 0.25 - math.log(2)
"""Of the bowl: N(0 | (1, 0), 2 I) 2 pi e."""


def bowl(**settings: object) -> NCP:
    prior = registry.make("ncp", toy_host(dtype=torch.float64), steps=0, **settings).double()
    prior.ratios[0] = Bowl()
    prior.fit(CODES)
    return prior


@pytest.mark.long
@pytest.mark.parametrize("sampling", ["resampling", "mcmc", "base"])
def test_density_and_draws_of_a_known_ratio(sampling):
    prior, n = bowl(sampling=sampling, moves=3, proposals=500), 4000
    z = 2 * torch.randn(50, 2, dtype=torch.float64)
    assert abs(prior.log_z.item() - LOG_Z) < 4 * prior.log_prob_error
    expected = log_normal(z, BOWL, 0.5) + LOG_Z - prior.log_z
    torch.testing.assert_close(prior.log_prob(z), expected)
    drawn = prior.sample(n)
    assert ((drawn.mean(0) - BOWL).abs() < 5 * math.sqrt(0.5 / n)).all()
    assert ((drawn.var(0) - 0.5).abs() < 5 * math.sqrt(0.5 / n)).all()
    assert sampling != "base" or prior.sampler == "one of 500 draws of N(0, I) each, by the ratio"


def test_few_proposals_leave_draws_near_the_base():
    """Of two draws of N(0, I) one, by r: its mean in z_1 by quadrature, between those of the base and of p."""
    drawn = bowl(sampling="base", proposals=2).sample(20_000)
    axis = torch.linspace(-6, 6, 41, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    normal, r = (-0.5 * points.square().sum(1)).softmax(0), Bowl()(points).exp()
    p = normal * (2 * r[:, None] / (r[:, None] + r) @ normal)
    expected = (p * points[:, 0]).sum().item()
    assert 0.1 < expected < 0.4
    assert abs(drawn[:, 0].mean().item() - expected) < 4 / math.sqrt(20_000)


@pytest.mark.long
def test_a_stage_stands_on_draws_of_the_law_before_it():
    prior = bowl(stages=2)
    z = prior.base(1, prior.proposal)(20_000)
    assert ((z.mean(0) - BOWL).abs() < 0.05).all()
    assert ((z.var(0) - 0.5).abs() < 0.05).all()
    z = prior.base(0, prior.proposal)(20_000)
    assert (z.mean(0).abs() < 0.05).all()
    assert ((z.var(0) - 1).abs() < 0.07).all()


def test_until_it_is_fitted_and_with_no_steps_it_is_the_base():
    z = 3 * torch.randn(20, 2, dtype=torch.float64)
    expected = log_normal(z, torch.zeros(2), 1.0)
    prior = registry.make("ncp", toy_host(dtype=torch.float64), stages=2, steps=0).double()
    torch.testing.assert_close(prior.log_prob(z), expected)
    assert (prior.players(), prior.shared_parameters(), prior.sampler) == ((), (), "")
    assert prior.before_validation(CODES) == {}
    torch.manual_seed(4)
    drawn = prior.sample(6)
    torch.manual_seed(4)
    assert torch.equal(drawn, torch.randn(6, 2, dtype=torch.float64))
    prior.fit(CODES)
    assert (prior.log_prob(z) - expected).abs().max() < 4 * prior.log_prob_error + 1e-12


def test_fit_trains_once_and_the_state_is_the_law(monkeypatch):
    prior = fitted(steps=3)
    loaded = registry.make("ncp", toy_host(dtype=torch.float64), widths=(32, 32)).double()
    loaded.load_state_dict(prior.state_dict())
    monkeypatch.setattr("priors.ncp.play", lambda *_: pytest.fail("trained twice"))
    for one in (prior, loaded):
        one.fit(CODES)
    z = torch.randn(5, 2, dtype=torch.float64)
    assert torch.equal(loaded.log_prob(z), prior.log_prob(z))
    assert (prior.log_prob(z) - log_normal(z, torch.zeros(2), 1.0)).abs().max() > 0.01


def test_deterministic_encoders_are_refused():
    with pytest.raises(Unsupported, match=r"ncp.*deterministic: use a VAE"):
        registry.make("ncp", dataclasses.replace(toy_host(), stochastic=False))


@pytest.mark.parametrize(
    "settings",
    [{"stages": 0}, {"steps": -1}, {"batch_size": 0}, {"proposals": 0}, {"widths": ()}, {"lr": 0.0}, {"draws": 0}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"ncp needs {next(iter(settings))}"):
        registry.make("ncp", toy_host(), **settings)


def test_it_is_fitted_to_a_toy_autoencoders_codes_in_float32():
    prior = registry.make("ncp", toy_host(), widths=(8,), steps=2, stages=2)
    prior.fit(toy_codes(toy_host()))
    assert prior.sample(3).dtype == torch.float32
