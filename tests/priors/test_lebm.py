"""The latent energy against quadrature and closed forms, and its two kinds of draws apart."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from priors import registry
from priors.base import Batch, Codes, Unsupported
from priors.lebm import LEBM
from priors.parts.fitting import play
from priors.parts.normal import DiagonalNormal
from priors.testing import toy_codes, toy_host

STEP = 0.05
AXIS = torch.arange(-8, 8, STEP, dtype=torch.float64)
POINTS = torch.cartesian_prod(AXIS, AXIS)
WELLS = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
SHARE, VARIANCE = 0.9, 0.1
SHIFT = 3.0


def log_normal(z: Tensor, mean: Tensor, variance: float) -> Tensor:
    """ln N(z | mean, variance I), (n, 2) -> (n,)."""
    return -0.5 * (z - mean.to(z)).square().sum(-1) / variance - math.log(2 * math.pi * variance)


def log_wells(z: Tensor) -> Tensor:
    """ln of nine tenths of a narrow normal on the right and one tenth on the left."""
    right, left = (log_normal(z, mean, VARIANCE) for mean in WELLS)
    return torch.logaddexp(right + math.log(SHARE), left + math.log(1 - SHARE))


class Wells(nn.Module):
    """The energy whose p is the law of the wells, with ln Z = -SHIFT."""

    def forward(self, z: Tensor) -> Tensor:
        return log_normal(z, torch.zeros(2), 1.0) - log_wells(z) + SHIFT


CODES = Codes(lambda: DiagonalNormal(WELLS.repeat(50, 1), torch.full((100, 2), math.log(VARIANCE)).double()))


def make(**settings: object) -> LEBM:
    return registry.make("lebm", toy_host(dtype=torch.float64), **{"widths": (16, 16), **settings}).double()


def wells(**settings: object) -> LEBM:
    prior = make(**settings)
    prior.network = Wells()
    prior.fit(CODES)
    return prior


class Valley(nn.Module):
    """The energy whose p is N(0, v I), plus a constant."""

    def __init__(self, variance: float):
        super().__init__()
        self.variance = variance

    def forward(self, z: Tensor) -> Tensor:
        return 0.5 * z.square().sum(-1) * (1 / self.variance - 1)


@pytest.mark.parametrize("variance", [1.0, 0.3, 0.1, 0.08, 0.06])
def test_a_short_run_is_never_narrower_than_its_last_step(variance: float):
    """z' = (1 - s^2 / 2v) z + s e is of variance s^2 / (1 - (1 - s^2 / 2v)^2) >= s^2, and not of v."""
    prior, squared = make(langevin_size=0.4), 0.16
    prior.network = Valley(variance)
    found = prior.short_run(10_000).var().item()
    assert found == pytest.approx(squared / (1 - (1 - squared / (2 * variance)) ** 2), rel=0.04)
    assert found > 0.96 * squared


@pytest.mark.long
def test_density_is_normalised_against_quadrature():
    prior = make()
    nn.init.normal_(prior.network.layers[0][-1].weight, std=1.0)
    prior.fit(toy_codes(toy_host(dtype=torch.float64)))
    with torch.no_grad():
        log_f = torch.from_numpy(multivariate_normal([0, 0], 1).logpdf(POINTS.numpy())) - prior.energy(POINTS)
        log_z = log_f.logsumexp(0) + 2 * math.log(STEP)
        torch.testing.assert_close(prior.log_prob(POINTS), log_f - prior.log_z)
    assert 0 < prior.log_prob_error < 0.05
    assert abs(log_z - prior.log_z) < 4 * prior.log_prob_error
    assert prior.reliable


@pytest.mark.long
def test_adjusted_draws_follow_p_where_short_runs_do_not():
    """A short run ends in the well that is nearer to where it started: each has a half."""
    adjusted, short, n = wells(moves=20), wells(sampling="short-run", langevin_size=0.2), 4000
    assert abs(adjusted.log_z.item() + SHIFT) < 4 * adjusted.log_prob_error
    z, shorts = adjusted.sample(n), short.sample(n)
    right = (z[:, 0] > 0).double().mean().item()
    effective = len(adjusted.particles) if adjusted.from_particles else n / 10
    assert abs(right - SHARE) < 4 * math.sqrt(SHARE * (1 - SHARE) / effective)
    assert abs((shorts[:, 0] > 0).double().mean().item() - 0.5) < 4 * math.sqrt(0.25 / n)
    for drawn in (z, shorts):  # within a well both are right
        assert (drawn - WELLS[(drawn[:, 0] < 0).long()]).var(0).sub(VARIANCE).abs().max() < 0.25 * VARIANCE
    assert "MALA" in adjusted.sampler
    assert short.sampler == "60 unadjusted Langevin steps of 0.2 from N(0, I)"
    torch.testing.assert_close(short.log_prob(z) + short.log_z, log_wells(z) - SHIFT)  # the density is p's all the same


def test_the_players_draws_are_the_papers_short_run():
    """Where E = 0: an autoregression, whose variance after 60 steps is 0.16 / (1 - 0.92^2), 4 % too large."""
    prior, n = make(), 20_000
    for parameter in prior.parameters():
        nn.init.zeros_(parameter)
    z = prior.short_run(n)
    assert ((z.var(0) - 0.16 / (1 - 0.92**2)).abs() < 4 * 1.04 * math.sqrt(2 / n)).all()
    assert (z.mean(0).abs() < 4 * math.sqrt(1.05 / n)).all()
    assert not z.requires_grad


def test_the_players_loss_is_the_difference_of_energies():
    prior, x = make(), torch.rand(7, 6, dtype=torch.float64)
    (player,) = prior.players()
    assert (player.name, player.optimiser.lr, player.optimiser.betas) == ("energy", 2e-5, (0.5, 0.999))
    torch.manual_seed(3)
    loss, parts = player.loss(Batch(x))
    torch.manual_seed(3)
    z = prior.encode(x).sample()
    y = torch.randn(7, 2, dtype=torch.float64)
    for _ in range(60):
        y = y.detach().requires_grad_()
        (slope,) = torch.autograd.grad(prior.energy(y).sum(), y)
        y = y - 0.08 * (slope + y) + 0.4 * torch.randn_like(y)
    expected = prior.energy(z.detach()).mean() - prior.energy(y.detach()).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(parts["gap"], expected.detach())
    weights = list(player.parameters)[:-1]  # the last bias is in both
    torch.testing.assert_close(*(torch.autograd.grad(one, weights) for one in (loss, expected)))


def test_the_encoder_gets_the_energys_gradient():
    prior = make()
    mean = torch.randn(4, 2, dtype=torch.float64).requires_grad_()
    q = DiagonalNormal(mean, torch.zeros_like(mean))
    z = q.rsample()
    (ours,) = torch.autograd.grad(prior.divergence(mean, q, z).sum(), mean)
    at = z.detach().requires_grad_()
    (slope,) = torch.autograd.grad(prior.energy(at).sum(), at)
    torch.testing.assert_close(ours, z.detach() + slope)


@pytest.mark.long
def test_the_player_moves_p_to_the_codes():
    q = DiagonalNormal(torch.tensor([[1.5, 0.0], [-1.5, 0.0]]).double(), torch.full((2, 2), math.log(0.4)).double())

    def codes(n: int) -> Tensor:
        return q[torch.randint(2, (n,))].sample()

    host = dataclasses.replace(toy_host(), encode=lambda x: DiagonalNormal(x, torch.full_like(x, -40.0)))
    prior = registry.make("lebm", host, widths=(32, 32), lr=2e-3, langevin_steps=30).double()
    grid = torch.logaddexp(*(log_normal(POINTS, mean, 0.4) for mean in q.mean)) - math.log(2)

    def divergence() -> float:
        with torch.no_grad():
            log_p = (log_normal(POINTS, torch.zeros(2), 1.0) - prior.energy(POINTS)).log_softmax(0)
        share = grid.softmax(0)
        return (share * (grid.log_softmax(0) - log_p)).sum().item()

    before = divergence()
    play(prior.players(), lambda: codes(100), 150)
    assert before > 0.5
    assert divergence() < 0.5 * before


def test_deterministic_encoders_are_refused():
    with pytest.raises(Unsupported, match=r"lebm.*deterministic: use a VAE"):
        registry.make("lebm", dataclasses.replace(toy_host(), stochastic=False))


@pytest.mark.parametrize("settings", [{"widths": ()}, {"langevin_steps": 0}, {"lr": 0.0}, {"langevin_size": 0.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"lebm needs {next(iter(settings))}"):
        make(**settings)
