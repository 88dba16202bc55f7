"""What training takes for ln Z, against hand-made sums, closed forms and what an energy can do to it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.parts.normalisers import Batchwise, Chains, DefensiveBatch, Terms


class Tilt(nn.Module):
    """f = N(z | 0, I) exp(-b ||z||^2 / 2 + c z_1): Z = (1 + b)^(-D/2) exp(c^2 / (2 (1 + b)))."""

    def __init__(self, b: float = 1.0, c: float = 0.0):
        super().__init__()
        self.b, self.c = nn.Parameter(torch.tensor(b).double()), nn.Parameter(torch.tensor(c).double())

    def forward(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) - 0.5 * self.b * z.square().sum(-1) + self.c * z[..., 0]

    def log_z(self, dim: int) -> Tensor:
        return -0.5 * dim * torch.log1p(self.b) + self.c.square() / (2 * (1 + self.b))


def terms(f: nn.Module, normaliser: nn.Module, q: DiagonalNormal) -> Terms:
    z, others = q.rsample(), normaliser.others(f, q, q.mean)
    return Terms(q, z, f(z), others, f(others))


def some_codes(n: int = 50, dim: int = 2, sd: float = 0.5, spread: float = 1.0) -> DiagonalNormal:
    mean = spread * torch.randn(n, dim, dtype=torch.float64)
    return DiagonalNormal(mean, torch.full_like(mean, 2 * math.log(sd)))


def test_the_paper_s_estimate_in_its_limits():
    normaliser, e = Batchwise(7, 10), torch.randn(7, 2, dtype=torch.float64)
    q = some_codes(6)
    z, nothing = q.sample(), torch.full((6,), -torch.inf, dtype=torch.float64)
    flat = Terms(q, z, nothing, e, log_standard_normal(e))
    assert normaliser.log_z(flat).item() == pytest.approx(math.log(1 / 2))  # the first half is exactly 1
    codes_alone = Terms(q, z, q.log_prob(z), e, torch.full((7,), -torch.inf, dtype=torch.float64))
    assert normaliser.log_z(codes_alone).item() == pytest.approx(math.log(10 / 2))
    deep = Terms(q, z, q.log_prob(z) - 2000, e, log_standard_normal(e) - 2000)  # exp(-2000) is 0 in any type
    assert normaliser.log_z(deep).item() == pytest.approx(-2000 + math.log(11 / 2))


def test_the_paper_s_estimate_bounds_the_kl_of_training_from_below():
    """At least ln (N / 2), whatever the posteriors and f are; the defensive estimate allows less."""
    f, count = Tilt(), 1200
    kls = {}
    for normaliser in (Batchwise(128, count), DefensiveBatch(128)):
        for sd in (0.3, 0.7):
            one = terms(f, normaliser, some_codes(100, 10, sd, 0.2))
            kl = one.q.log_prob(one.z) - one.at_z + normaliser.log_z(one)
            kls[type(normaliser).__name__, sd] = kl.mean().item()
    assert kls["Batchwise", 0.3] >= math.log(count / 2)
    assert kls["Batchwise", 0.7] >= math.log(count / 2)
    assert kls["DefensiveBatch", 0.7] < math.log(count / 2) - 2


def test_the_defensive_estimate_is_the_balance_heuristic_s():
    f, q = Tilt(), some_codes(4)
    normaliser = DefensiveBatch(3)
    one = terms(f, normaliser, q)
    densities = [DiagonalNormal(q.mean[i], q.log_variance[i]).log_prob(one.others).exp() for i in range(4)]
    r = 0.5 * log_standard_normal(one.others).exp() + 0.5 * torch.stack(densities).mean(0)
    weight = f(one.others).exp() / r
    expected = 0.5 * weight[:3].mean() + 0.5 * weight[3:].mean()
    torch.testing.assert_close(normaliser.log_z(one), expected.log())


def test_the_defensive_estimate_is_unbiased_and_its_gradient_is_that_of_log_z():
    f, q, normaliser = Tilt(c=0.5), some_codes(200), DefensiveBatch(2000)
    values = torch.stack([normaliser.log_z(terms(f, normaliser, q)) for _ in range(20)])
    gradients = torch.autograd.grad(values.mean(), [f.b, f.c])
    exact = torch.autograd.grad(f.log_z(2), [f.b, f.c])
    assert abs(values.exp().mean() - f.log_z(2).exp()) < 4 * values.exp().std() / math.sqrt(20)
    for found, expected in zip(gradients, exact, strict=True):
        assert found.item() == pytest.approx(expected.item(), abs=0.01)


def test_no_estimate_has_a_gradient_in_the_encoder_but_the_paper_s():
    mean = torch.randn(30, 2, dtype=torch.float64, requires_grad=True)
    for normaliser, reaches in ((Batchwise(5, 9), True), (DefensiveBatch(5), False), (Chains(64, 2).double(), False)):
        value = normaliser.log_z(terms(Tilt(), normaliser, DiagonalNormal(mean, torch.zeros_like(mean))))
        found = torch.autograd.grad(value, mean, allow_unused=True)[0] if value.requires_grad else None
        assert (found is not None) == reaches


@pytest.mark.long
def test_chains_follow_an_energy_that_moves_away():
    """f's mode goes from 0 to 8 deviations of N(0, I) along training: the particles are there, with p's spread."""
    f, chains = Tilt(b=3.0), Chains(500, 5).double()
    q = some_codes(10, 5)
    for c in torch.linspace(0, 32, 200):
        with torch.no_grad():
            f.c.fill_(c)
        chains.others(f, q, q.mean)
    for _ in range(20):
        chains.others(f, q, q.mean)
    weight = chains.log_weight.softmax(0)
    mean = weight @ chains.z
    assert mean[0].item() == pytest.approx(8, abs=0.1)
    assert mean[1:].abs().max() < 0.1
    assert (weight @ (chains.z - mean).square()).mean().item() == pytest.approx(1 / 4, rel=0.2)
    one = terms(f, chains, q)
    value = chains.log_z(one)
    assert value.item() == 0
    gradient = torch.autograd.grad(value, [f.b, f.c])
    exact = torch.autograd.grad(f.log_z(5), [f.b, f.c])
    for found, expected in zip(gradient, exact, strict=True):
        assert found.item() == pytest.approx(expected.item(), rel=0.02)
    lost = DefensiveBatch(500)
    assert abs(torch.autograd.grad(lost.log_z(terms(f, lost, q)), f.c)[0].item() - 8) > 1
