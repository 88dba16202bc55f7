"""The truncated law against the sum over draws, quadrature, and brute-force simulation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from priors import registry
from priors.base import Batch
from priors.lars import LARS
from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.testing import toy_codes, toy_host

STEP = 0.01
GRID = torch.arange(-900, 901, dtype=torch.float64)[:, None] * STEP


def steep(**settings: object) -> LARS:
    """On R, in float64, with an acceptance that varies over several orders of magnitude, and its Z by quadrature."""
    torch.manual_seed(3)
    host = toy_host(latent_dim=1, dtype=torch.float64)
    prior = registry.make("lars", host, widths=(20, 20), **settings).double()
    with torch.no_grad():
        for parameter in prior.network.parameters():
            parameter.copy_(parameter + 1.2 * torch.randn_like(parameter))
        prior.network.layers[0][-1].bias.fill_(-2.0)
        prior.acceptance.copy_((acceptance_on_grid(prior) * normal_on_grid()).sum())
    return prior


def acceptance_on_grid(prior: LARS) -> Tensor:
    with torch.no_grad():
        return prior.accept(GRID)


def normal_on_grid() -> Tensor:
    """N(z | 0, 1) dz over the grid: the trapezoid rule's weights."""
    return log_standard_normal(GRID).exp() * STEP


def by_summation(a: Tensor, z: float, truncation: int) -> Tensor:
    """p / N as the probabilities of being taken at each draw, one after the other."""
    earlier = sum((a * (1 - z) ** (t - 1) for t in range(1, truncation)), torch.zeros_like(a))
    return earlier + (1 - z) ** (truncation - 1)


def simulated(prior: LARS, n: int) -> Tensor:
    """(n,): all T draws are made, and the first that is accepted, or the last, is kept."""
    z = torch.randn(n, prior.truncation, dtype=torch.float64)
    with torch.no_grad():
        taken = torch.rand_like(z) < prior.accept(z[..., None])
    taken[:, -1] = True
    return z.gather(1, taken.double().argmax(1, keepdim=True)).squeeze(1)


def shares_agree(draws: Tensor, mass: Tensor, bins: int = 12) -> None:
    """The draws' shares in intervals of about equal mass are those of the law, within 4 standard errors."""
    cumulative = mass.cumsum(0)
    edges = torch.stack([GRID[(cumulative < b / bins).sum(), 0] for b in range(1, bins)])
    which, of_grid = torch.bucketize(draws, edges), torch.bucketize(GRID[:, 0] - 1e-9, edges)
    expected = torch.zeros(bins, dtype=torch.float64).index_add_(0, of_grid, mass)
    share = torch.bincount(which, minlength=bins) / len(draws)
    error = (expected * (1 - expected) / len(draws)).sqrt()
    edge = mass.max()  # of a grid point, which may lie on either side
    assert ((share - expected).abs() < 4 * error + edge).all(), (share, expected)


@pytest.mark.parametrize("truncation", [1, 2, 3, 20, 100])
def test_density_is_the_sum_over_draws_and_integrates_to_one(truncation):
    prior = steep(truncation=truncation)
    expected = by_summation(acceptance_on_grid(prior), prior.acceptance.item(), truncation)
    with torch.no_grad():
        p = prior.log_prob(GRID).exp()
    torch.testing.assert_close(p, expected * log_standard_normal(GRID).exp(), rtol=1e-9, atol=0)
    assert (p.sum() * STEP).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("truncation", [2, 4, 12])
def test_density_and_draws_are_those_of_a_simulation(truncation):
    prior = steep(truncation=truncation)
    with torch.no_grad():
        mass = prior.log_prob(GRID).exp() * STEP
    normal = normal_on_grid()
    assert (mass - normal).abs().sum() > 0.1  # or any sampler of N(0, I) would pass
    n = 30_000
    shares_agree(simulated(prior, n), mass)
    shares_agree(prior.sample(n).squeeze(1), mass)


def test_truncated_at_one_it_is_the_standard_normal():
    prior = registry.make("lars", toy_host(), truncation=1)
    z = 3 * torch.randn(50, 2)
    assert torch.equal(prior.log_prob(z), log_standard_normal(z))
    q = DiagonalNormal(torch.zeros(50, 2), torch.zeros(50, 2))
    gradients = torch.autograd.grad(prior.divergence(Batch(z), q, z).mean(), list(prior.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_without_a_bound_it_is_the_normal_thinned():
    prior = steep(truncation=10**6)
    with torch.no_grad():
        expected = log_standard_normal(GRID) + prior.accept(GRID).log() - prior.acceptance.log()
        torch.testing.assert_close(prior.log_prob(GRID), expected, rtol=0, atol=1e-9)


def constant(logit: float, acceptance: float, truncation: int, dtype: torch.dtype) -> LARS:
    """a = sigmoid(logit) everywhere, with any Z at all."""
    prior = registry.make("lars", toy_host(dtype=dtype), truncation=truncation).to(dtype)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.zero_()
        prior.network.layers[0][-1].bias.fill_(logit)
        prior.acceptance.fill_(acceptance)
    return prior


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", [-200.0, -30.0, 0.0, 40.0])
@pytest.mark.parametrize("acceptance", [0.0, 1e-30, 1e-9, 0.5, 1.0])
@pytest.mark.parametrize("truncation", [2, 100])
@pytest.mark.parametrize("flush", [False, True])
def test_extreme_acceptances_are_stable(dtype, logit, acceptance, truncation, flush):
    """With denormal numbers, and without them, as workers go."""
    torch.set_flush_denormal(flush)
    prior = constant(logit, acceptance, truncation, dtype)
    z = torch.zeros(1, 2, dtype=dtype)
    ratio = prior.log_ratio(z, prior.acceptance)
    log_a = -math.log1p(math.exp(-logit)) if logit > 0 else logit - math.log1p(math.exp(logit))
    rest = 1 - min(acceptance, 1 - torch.finfo(dtype).eps)
    log_tries = math.log(math.fsum(rest**k for k in range(truncation - 1)))
    log_last = (truncation - 1) * math.log(rest)
    larger, smaller = max(log_a + log_tries, log_last), min(log_a + log_tries, log_last)
    expected = larger + math.log1p(math.exp(smaller - larger))
    assert ratio.item() == pytest.approx(expected, rel=1e-5 if dtype == torch.float32 else 1e-12, abs=1e-6)
    gradients = torch.autograd.grad(ratio.sum(), list(prior.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_training_gradient_is_that_of_the_normalised_density():
    prior = steep(draws=200_000, truncation=20)
    z = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    q = DiagonalNormal(torch.zeros_like(z), torch.zeros_like(z))
    weights = list(prior.parameters())
    ours = torch.autograd.grad(prior.divergence(Batch(z), q, z).mean(), weights)
    by_quadrature = (prior.accept(GRID) * normal_on_grid()).sum()
    expected = torch.autograd.grad(-prior.log_ratio(z, by_quadrature).mean(), weights, retain_graph=True)
    unnormalised = torch.autograd.grad(-prior.log_ratio(z, by_quadrature.detach()).mean(), weights)
    for got, right, wrong in zip(ours, expected, unnormalised, strict=True):
        assert (got - right).norm() < 0.02 * right.norm()
        assert (wrong - right).norm() > 0.1 * right.norm()


def test_training_keeps_a_running_average_and_validation_uses_it():
    prior = registry.make("lars", toy_host(), draws=50)
    before = prior.acceptance.clone()
    q = DiagonalNormal(torch.zeros(9, 2), torch.zeros(9, 2))
    z = q.sample()
    torch.manual_seed(1)
    fresh = prior.accept(prior.proposals(50)).mean()
    torch.manual_seed(1)
    trained = prior.divergence(Batch(z), q, z)
    torch.testing.assert_close(trained, q.log_prob(z) - log_standard_normal(z) - prior.log_ratio(z, fresh))
    torch.testing.assert_close(prior.acceptance, (0.9 * before + 0.1 * fresh).detach())
    kept = prior.eval().acceptance.clone()
    torch.testing.assert_close(prior.divergence(Batch(z), q, z), q.log_prob(z) - prior.log_prob(z))
    assert torch.equal(prior.acceptance, kept)


def test_fit_estimates_the_acceptance_with_its_error():
    prior = steep(final_draws=40_000)
    normal, a = normal_on_grid(), acceptance_on_grid(prior)
    mean = (a * normal).sum()
    sd = ((a - mean).square() * normal).sum().sqrt()
    prior.acceptance.zero_()
    prior.fit(toy_codes(toy_host()))
    (known,) = prior.report()
    assert known.name == "acceptance"
    assert known.error == pytest.approx(sd.item() / 200, rel=0.05)
    assert abs(known.value - mean.item()) < 4 * known.error
    assert known.value != mean.item()


@pytest.mark.parametrize("truncation", [2, 20, 200])
def test_error_of_log_prob_is_the_mean_over_draws(truncation):
    prior = steep(truncation=truncation)
    prior.acceptance_error.copy_(0.01 * prior.acceptance)
    log_z = prior.acceptance.log().requires_grad_()
    z = prior.sample(20_000)
    with torch.no_grad():
        up, down = (prior.log_ratio(z, (log_z + change).exp()) for change in (1e-5, -1e-5))
    slope = (up - down) / 2e-5
    assert (slope <= 1e-9).all()
    error = slope.std().item() / math.sqrt(len(z)) + 1e-9
    assert abs(prior.log_prob_error / 0.01 + slope.mean().item()) < 4 * error


@pytest.mark.long
def test_training_moves_the_law_to_the_codes():
    prior = registry.make("lars", toy_host(latent_dim=1), draws=256, widths=(30, 30))
    optimiser = torch.optim.Adam(prior.parameters(), lr=1e-2)

    def codes() -> Tensor:
        return 1.5 * torch.sign(torch.randn(128, 1)) + 0.2 * torch.randn(128, 1)

    q = DiagonalNormal(torch.zeros(128, 1), torch.zeros(128, 1))
    for _ in range(200):
        z = codes()
        optimiser.zero_grad()
        (prior.divergence(Batch(z), q, z) - q.log_prob(z)).mean().backward()
        optimiser.step()
    prior.fit(toy_codes(toy_host()))
    entropy = 0.5 * math.log(2 * math.pi * math.e * 0.04) + math.log(2)
    held_out = torch.cat([codes() for _ in range(40)])
    with torch.no_grad():
        assert entropy - 0.05 < -prior.log_prob(held_out).mean().item() < entropy + 0.25
    assert 0.04 < prior.report()[0].value < 0.5
    draws = prior.sample(4000)
    assert (draws.abs() < 0.7).float().mean() < 0.05
    assert abs((draws > 0).float().mean().item() - 0.5) < 0.1
    assert nn.utils.parameters_to_vector(prior.shared_parameters()).isfinite().all()


@pytest.mark.parametrize(
    "settings", [{"truncation": 0}, {"draws": 0}, {"final_draws": 1}, {"widths": ()}, {"widths": (5, 0)}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"lars needs {next(iter(settings))}"):
        registry.make("lars", toy_host(), **settings)
