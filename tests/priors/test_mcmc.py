"""Markov chains against laws whose moments, acceptance and normaliser are known in closed form."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from priors.parts.log_z import log_z_of
from priors.parts.mcmc import ais, hmc, langevin, mala, tune
from priors.parts.normal import log_standard_normal

MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.0, 0.6, 0.0], [0.6, 0.8, -0.3], [0.0, -0.3, 0.5]], dtype=torch.float64)
TARGET = MultivariateNormal(MEAN, COVARIANCE)

MOVES = {"mala": partial(mala, step_size=0.2), "hmc": partial(hmc, step_size=0.4, leapfrog=4)}


def log_f(z: Tensor) -> Tensor:
    """The target without its constant: kernels must not need it."""
    return TARGET.log_prob(z) + 7


def misfit(z: Tensor) -> float:
    """Largest distance of a mean, variance or covariance of independent rows from the target's, in standard errors."""
    centred = z - MEAN
    products = centred[:, :, None] * centred[:, None]
    figures = [(z, MEAN), (products, COVARIANCE)]
    return max(((f.mean(0) - e).abs() / f.std(0) * math.sqrt(len(z))).max().item() for f, e in figures)


@pytest.mark.parametrize("name", MOVES)
def test_the_target_stays_the_target(name):
    z, acceptance = MOVES[name](log_f, TARGET.sample((10_000,)), 20)
    assert 0.3 < acceptance < 0.95
    assert misfit(z) < 4


@pytest.mark.long
@pytest.mark.parametrize("name", MOVES)
def test_chains_reach_the_target_from_elsewhere(name):
    start = torch.full((4000, 3), 4.0, dtype=torch.float64)
    assert misfit(start + 0.1 * torch.randn_like(start)) > 50
    z, _ = MOVES[name](log_f, start, 150)
    assert misfit(z) < 4


def test_without_the_acceptance_step_the_variance_would_be_wrong():
    """The control of the tests above: unadjusted Langevin steps of the same size, from exact draws."""
    z, precision, a = TARGET.sample((10_000,)), COVARIANCE.inverse(), 0.2
    for _ in range(20):
        z = z - a * (z - MEAN) @ precision + math.sqrt(2 * a) * torch.randn_like(z)
    assert misfit(z) > 10


def test_mala_proposes_and_accepts_as_its_formula_says():
    """One step, against the proposal's own density in both directions."""
    z, a = TARGET.sample((500,)), 0.3
    precision = COVARIANCE.inverse()

    def ahead(z: Tensor) -> Tensor:
        return z - a * (z - MEAN) @ precision

    def log_move(to: Tensor, start: Tensor) -> Tensor:
        return -(to - ahead(start)).square().sum(-1) / (4 * a)

    torch.manual_seed(1)
    proposed = ahead(z) + math.sqrt(2 * a) * torch.randn_like(z)
    ratio = TARGET.log_prob(proposed) + log_move(z, proposed) - TARGET.log_prob(z) - log_move(proposed, z)
    torch.manual_seed(1)
    moved, acceptance = mala(log_f, z, 1, a)
    assert acceptance == pytest.approx(ratio.exp().clamp(max=1).mean().item(), rel=1e-9)
    stays = (moved == z).all(-1)
    torch.testing.assert_close(moved[~stays], proposed[~stays])
    expected = acceptance * len(z)
    assert abs((~stays).sum().item() - expected) < 4 * math.sqrt(expected * (1 - acceptance))
    assert (~stays)[ratio >= 0].all()  # uphill moves are always taken


def test_no_number_is_never_accepted():
    def inside(z: Tensor) -> Tensor:
        return torch.where(z.abs().amax(-1) < 1, 0.0, math.nan) * z.sum(-1)

    z, acceptance = mala(inside, torch.zeros(500, 2), 30, 0.1)
    assert z.abs().max() < 1
    assert 0 < acceptance < 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MOVES)
def test_gradients_are_found_where_autograd_is_off(name, dtype):
    start = torch.randn(50, 3, dtype=dtype)
    with torch.no_grad():
        z, _ = MOVES[name](lambda z: log_standard_normal(z), start, 3)
    assert (z.dtype, z.requires_grad, start.requires_grad) == (dtype, False, False)
    assert not torch.equal(z, start)


@pytest.mark.parametrize("start", [1e-6, 1e3])
@pytest.mark.parametrize(
    ("move", "target"),
    [
        (lambda z, a: mala(log_f, z, 1, a), 0.57),
        (lambda z, a: hmc(log_f, z, 1, a, leapfrog=5), 0.8),
    ],
)
def test_tune_reaches_its_target(move, target, start):
    step_size = tune(move, TARGET.sample((500,)), target, start)
    rates = [move(TARGET.sample((2000,)), step_size)[1] for _ in range(5)]
    assert sum(rates) / 5 == pytest.approx(target, abs=0.03)


def test_unadjusted_steps_have_their_own_law():
    """On N(m, v I) they are an autoregression, whose mean and variance after t steps are known."""
    mean, v, size, steps, n = 2.0, 0.5, 0.6, 7, 40_000
    z = langevin(lambda z: -0.5 * (z - mean).square().sum(-1) / v, torch.randn(n, 2).double(), steps, size)
    kept = 1 - size**2 / (2 * v)
    centre, variance = 0.0, 1.0
    for _ in range(steps):
        centre, variance = mean + kept * (centre - mean), kept**2 * variance + size**2
    assert abs(variance - v) > 0.1
    assert ((z.mean(0) - centre).abs() < 4 * math.sqrt(variance / n)).all()
    assert ((z.var(0) - variance).abs() < 4 * variance * math.sqrt(2 / n)).all()


# Annealed importance sampling


@pytest.mark.long
def test_ais_knows_the_normaliser_of_gaussians():
    """From N(0, I) in 10 dimensions, narrowed by b, and to a correlated one far off."""
    z, b = torch.randn(400, 10, dtype=torch.float64), 8.0
    narrow = log_z_of(ais(lambda z: log_standard_normal(z) - 0.5 * b * z.square().sum(-1), z, ladder(60), 0.15, 5))
    assert abs(narrow.value + 5 * math.log(1 + b)) < 4 * narrow.error
    assert narrow.error < 0.1
    far = log_z_of(ais(lambda z: log_f(2 * z), z[:, :3], ladder(60), 0.15, 5))
    assert abs(far.value - (7 - 3 * math.log(2))) < 4 * far.error
    assert far.error < 0.1


@pytest.mark.long
def test_ais_beats_the_importance_sampling_that_it_is_with_one_temperature():
    z = torch.randn(400, 10, dtype=torch.float64)

    def narrow(z: Tensor) -> Tensor:
        return log_standard_normal(z) - 4 * z.square().sum(-1)

    plain = ais(narrow, z, [0.0, 1.0], 0.15)
    torch.testing.assert_close(plain, -4 * z.square().sum(-1))
    assert log_z_of(plain).effective < 0.05
    assert log_z_of(ais(narrow, z, ladder(60), 0.15, 5)).effective > 0.3


def test_ais_from_another_start():
    """Where the start is the target up to a constant, every weight is that constant."""
    weights = ais(log_f, TARGET.sample((50,)), ladder(5), 0.2, log_start=TARGET.log_prob)
    torch.testing.assert_close(weights, torch.full((50,), 7.0, dtype=torch.float64))


def test_ais_computes_nothing_twice():
    """One gradient a leapfrog step and one before the first; weights and draws are those of a move by itself."""
    count = 0

    def counted(z: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return log_f(z)

    z, steps = TARGET.sample((20,)), ladder(8)
    torch.manual_seed(1)
    found = ais(counted, z, steps, 0.2, leapfrog=3)
    assert count == 1 + 3 * 6  # of 7 temperatures but the first; each had 4 gradients and a value when it moved alone
    torch.manual_seed(1)
    expected = torch.zeros(20, dtype=torch.float64)
    for b, after in pairwise(steps):
        if b > 0:
            z, _ = hmc(lambda z, b=b: (1 - b) * log_standard_normal(z) + b * log_f(z), z, 1, 0.2, 3)
        expected += (after - b) * (log_f(z) - log_standard_normal(z))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def ladder(temperatures: int) -> list[float]:
    return torch.linspace(0, 1, temperatures).tolist()
