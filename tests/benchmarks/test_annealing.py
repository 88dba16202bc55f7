"""Bounds by annealed importance sampling against models whose ln p(x) is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor, nn

from benchmarks.common.seeds import seed_for
from benchmarks.datasets.gaussian import pca_parameters
from benchmarks.estimators import annealing as module
from benchmarks.estimators.annealing import Annealing, Bounds, Joint, bounds, lower_bound, tuned_step
from models.likelihoods import Bernoulli
from priors.parts.mcmc import hmc
from priors.parts.normal import DiagonalNormal, log_standard_normal

FLOAT = torch.float64


class PCA:
    """Probabilistic PCA, x = b + W z + s e, with codes that are exact draws from p(z|x) (Tipping and Bishop 1999)."""

    def __init__(self, images: int, w: Tensor | None = None, s: float = 0.5):
        self.w, self.s = torch.randn(8, 3, dtype=FLOAT) if w is None else w, s
        self.b = torch.randn(len(self.w), dtype=FLOAT)
        self.z = torch.randn(images, self.w.shape[1], dtype=FLOAT)
        self.x = self.b + self.z @ self.w.T + s * torch.randn(images, len(self.w), dtype=FLOAT)
        precision = self.w.T @ self.w / s**2 + torch.eye(self.w.shape[1], dtype=FLOAT)
        mean = (self.x - self.b) @ self.w / s**2 @ torch.linalg.inv(precision)
        self.q = DiagonalNormal(mean, -precision.diagonal().log().expand_as(mean))  # nearest to the posterior

    def exact(self) -> Tensor:
        """ln N(x; b, W W' + s^2 I)."""
        covariance = self.w @ self.w.T + self.s**2 * torch.eye(len(self.b), dtype=FLOAT)
        return torch.from_numpy(scipy.stats.multivariate_normal(self.b.numpy(), covariance.numpy()).logpdf(self.x))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        error = (x - self.b - z @ self.w.T).square().sum(-1)
        return -0.5 * error / self.s**2 - 0.5 * len(self.b) * math.log(2 * math.pi * self.s**2)

    def joint(self, **changes: Any) -> Joint:
        parts = {"x": self.x, "q": self.q, "log_likelihood": self.log_likelihood, "log_prior": log_standard_normal}
        return Joint(**{**parts, **changes})


def orthogonal(images: int) -> PCA:
    """A model whose posteriors are diagonal, so that q is exact."""
    return PCA(images, w=torch.linalg.qr(torch.randn(8, 3, dtype=FLOAT))[0])


def stream(first: int) -> int:
    return seed_for("annealing", first)


def both(pca: PCA, annealing: Annealing, step_size: float | None = None) -> Bounds:
    step_size = step_size or tuned_step(pca.joint(), annealing, seed=1)
    return bounds(pca.joint(), pca.z, annealing, step_size, stream)


def deviations(values: Tensor) -> float:
    """Distance of the mean from 1, in standard errors."""
    return abs(values.mean().item() - 1) / (values.std().item() / math.sqrt(len(values)))


def unbiased(found: Bounds, exact: Tensor) -> bool:
    """E[exp(lower)] = p(x) and E[exp(-upper)] = 1/p(x): no error on either side hides in an inequality."""
    return max(deviations((found.lower - exact).exp()), deviations((exact - found.upper).exp())) < 4


# Probabilistic PCA


@pytest.mark.long
@pytest.mark.parametrize("inflation", [1.0, 1.5])
@pytest.mark.parametrize("steps", [4, 20])
def test_weights_are_unbiased_in_both_directions(steps, inflation):
    pca = PCA(images=1000, s=1.0)
    found = both(pca, Annealing(steps, chains=4, inflation=inflation))
    assert unbiased(found, pca.exact())
    assert (found.lower.dtype, found.upper.dtype) == (FLOAT, FLOAT)


@pytest.mark.long
def test_without_the_acceptance_step_the_weights_would_be_biased(monkeypatch):
    """The control of the test above."""
    pca = PCA(images=1000, s=1.0)
    monkeypatch.setattr(torch, "rand_like", torch.zeros_like)  # every proposal is taken
    assert not unbiased(both(pca, Annealing(20, chains=4)), pca.exact())


@pytest.mark.long
def test_figures_from_the_posterior_in_100_steps():
    """The data set "gaussian": one chain from q is about a hundredth of a nat off on either side."""
    w, _, s = pca_parameters()
    pca = PCA(images=1000, w=w, s=s)
    found = both(pca, Annealing(100, chains=1, inflation=1.0))
    assert -0.025 < (found.lower - pca.exact()).mean() < 0.01
    assert -0.01 < (found.upper - pca.exact()).mean() < 0.025


@pytest.mark.long
@pytest.mark.parametrize("leapfrog", [1, 2, 10])
def test_bounds_close_in_with_steps(leapfrog):
    pca, below, above = PCA(images=400, w=torch.randn(12, 6, dtype=FLOAT)), [], []
    for steps in (2, 8, 32):
        found = both(pca, Annealing(steps, chains=2, leapfrog=leapfrog))
        below.append((pca.exact() - found.lower).mean().item())
        above.append((found.upper - pca.exact()).mean().item())
    for gaps in (below, above):
        assert gaps[0] > 1.5 * gaps[1] > 1.5**2 * gaps[2] > 0


@pytest.mark.parametrize("steps", [1, 7])
def test_from_the_exact_posterior_any_number_of_steps_is_exact(steps):
    pca = orthogonal(images=20)
    found = both(pca, Annealing(steps, chains=3, inflation=1.0), step_size=0.5)
    for side in found:
        torch.testing.assert_close(side, pca.exact(), rtol=0, atol=1e-9)


def test_chains_that_stand_still_are_importance_sampling():
    """Moves forgive a wrong start; without them the weights are p(x, z) / f0(z) at the draws themselves."""
    pca, annealing, step_size = PCA(images=5), Annealing(steps=3, chains=100), 1e-9
    found = bounds(pca.joint(), pca.z, annealing, step_size, stream)
    wide = torch.distributions.Normal(pca.q.mean, 1.2 * pca.q.variance.sqrt())

    def log_weight(z: Tensor) -> Tensor:
        return pca.log_likelihood(pca.x, z) + log_standard_normal(z) - wide.log_prob(z).sum(-1)

    torch.manual_seed(stream(0))
    z = wide.mean + wide.stddev * torch.randn(100, 5, 3, dtype=FLOAT)
    torch.testing.assert_close(found.lower, log_weight(z).exp().mean(0).log(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.upper, log_weight(pca.z), rtol=0, atol=1e-6)


def test_chains_do_not_see_the_scale_of_codes():
    """z' = c z + t, dimension by dimension, is the same model, with a prior whose density takes the factor 1 / c."""
    pca, c, t = PCA(images=30), torch.tensor([0.01, 1.0, 300.0], dtype=FLOAT), torch.tensor([5.0, -2.0, 9.0])
    moved = pca.joint(
        q=DiagonalNormal(c * pca.q.mean + t, pca.q.log_variance + 2 * c.log()),
        log_likelihood=lambda x, z: pca.log_likelihood(x, (z - t) / c),
        log_prior=lambda z: log_standard_normal((z - t) / c) - c.log().sum(),
    )
    annealing = Annealing(20, chains=2)
    step_size = tuned_step(pca.joint(), annealing, seed=1)
    assert tuned_step(moved, annealing, seed=1) == pytest.approx(step_size)
    expected = bounds(pca.joint(), pca.z, annealing, step_size, stream)
    found = bounds(moved, c * pca.z + t, annealing, step_size, stream)
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=1e-9, atol=0)


# A Bernoulli decoder


@pytest.fixture
def decoder() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 10)).double()


def bernoulli(decoder: Callable[[Tensor], Tensor], x: Tensor, q: DiagonalNormal) -> Joint:
    """p(x|z) with the decoder's outputs as logits, under a standard normal prior."""
    law = Bernoulli(x.shape[1:])
    return Joint(x, q, lambda x, z: law.log_prob(x, decoder(z)[..., None, :]), log_standard_normal)


def grid_integral(decoder: nn.Module, x: Tensor) -> Tensor:
    """ln p(x) by the trapezoid rule on [-8, 8]^2, a plain sum: the ends weigh nothing."""
    axis = torch.linspace(-8, 8, 101, dtype=FLOAT)
    z = torch.cartesian_prod(axis, axis)
    logits = decoder(z).detach()
    log_joint = logits @ x.T - nn.functional.softplus(logits).sum(1, keepdim=True) + log_standard_normal(z)[:, None]
    return log_joint.logsumexp(0) + 2 * math.log(0.16)


@pytest.mark.long
def test_bernoulli_decoder_against_a_grid_over_codes(decoder):
    """Images that the model drew, then others, from a q that is good for none of them."""
    nn.init.normal_(decoder[2].weight)
    z = torch.randn(200, 2, dtype=FLOAT)
    x = torch.bernoulli(decoder(z).sigmoid()).detach()
    joint, annealing = bernoulli(decoder, x, DiagonalNormal(0.3 * z, torch.full_like(z, -0.5))), Annealing(50, chains=4)
    step_size = tuned_step(joint, annealing, seed=1)
    found, exact = bounds(joint, z, annealing, step_size, stream), grid_integral(decoder, x)
    assert unbiased(found, exact)
    assert (found.lower - exact).mean().abs() < 0.02
    assert (found.upper - exact).mean().abs() < 0.02
    others = torch.bernoulli(torch.full_like(x, 0.5))
    found, exact = lower_bound(replace(joint, x=others), annealing, step_size, stream), grid_integral(decoder, others)
    assert deviations((found - exact).exp()) < 4
    assert (found - exact).mean().abs() < 0.03


@pytest.mark.parametrize("gradients", [True, False])
def test_gradients_are_taken_in_codes_alone(decoder, gradients):
    x, z = torch.ones(3, 10, dtype=FLOAT), torch.randn(3, 2, dtype=FLOAT)
    q = DiagonalNormal(z.clone().requires_grad_(), torch.zeros_like(z))
    joint, annealing = bernoulli(decoder, x, q), Annealing(3, chains=2)
    with torch.set_grad_enabled(gradients):
        found = bounds(joint, z, annealing, tuned_step(joint, annealing, seed=1), stream)
    assert not any(side.requires_grad for side in found)
    assert all(p.grad is None for p in (*decoder.parameters(), q.mean))


def test_saturated_logits_stay_finite():
    x, z = torch.bernoulli(torch.full((5, 10), 0.5)), torch.randn(5, 2)
    w = 1e4 * torch.randn(2, 10)
    joint, annealing = bernoulli(lambda z: z @ w, x, DiagonalNormal(z, torch.zeros_like(z))), Annealing(20, chains=4)
    found = bounds(joint, z, annealing, tuned_step(joint, annealing, seed=1), stream)
    assert all(side.isfinite().all() for side in found)
    assert all(side.dtype == FLOAT for side in found)


# Chains and blocks


@pytest.mark.long
def test_proposals_that_are_no_number_are_rejected():
    """p(x) = P(max |z| < 1), where the likelihood is 1; it is not a number elsewhere."""
    z = torch.zeros(100, 2, dtype=FLOAT)
    joint = Joint(
        x=z,
        q=DiagonalNormal(z, torch.full_like(z, 2 * math.log(0.15))),
        log_likelihood=lambda x, z: torch.where(z.abs().amax(-1) < 1, 0.0, math.nan) * z.sum(-1),
        log_prior=log_standard_normal,
    )
    exact = 2 * math.log(scipy.stats.norm.cdf(1) - scipy.stats.norm.cdf(-1))
    found = lower_bound(joint, Annealing(200, chains=16), 1.5, stream)
    assert deviations((found - exact).exp()) < 4
    assert abs(found.mean().item() - exact) < 0.1


@pytest.mark.parametrize("target", [0.65, 0.9])
def test_the_tuned_step_accepts_its_target(target):
    """On exact draws from the posteriors, not on the pilot's chains."""
    pca, inflation = PCA(images=64, w=torch.randn(30, 12, dtype=FLOAT)), 1.5
    step_size = tuned_step(pca.joint(), Annealing(leapfrog=1, inflation=inflation), seed=1, target=target)
    u = ((pca.z - pca.q.mean) / pca.q.variance.sqrt() / inflation).repeat(50, 1)
    _, acceptance = hmc(pca.joint().log_f(slice(0, 64), inflation), u, 1, step_size, leapfrog=1)
    assert acceptance == pytest.approx(target, abs=0.03)


@pytest.mark.parametrize("leapfrog", [2, 10])
def test_a_proposal_is_at_most_a_quarter_of_an_orbit(leapfrog):
    """Where the posteriors are those of the encoder even longer ones would all be accepted."""
    pca = orthogonal(images=20)
    annealing = Annealing(leapfrog=leapfrog, inflation=2.0)
    assert tuned_step(pca.joint(), annealing, seed=1) * 2.0 * leapfrog == pytest.approx(math.pi / 2)


def test_blocks_have_streams_of_their_own(monkeypatch):
    monkeypatch.setattr(module, "ROWS", 12)  # 3 images of 4 chains
    pca, annealing, done = PCA(images=8), Annealing(10, chains=4), []
    together = bounds(pca.joint(), pca.z, annealing, 0.5, stream, progress=done.append)
    assert done == [3, 6, 8]
    second = pca.joint(x=pca.x[3:6], q=pca.q[3:6])
    alone = bounds(second, pca.z[3:6], annealing, 0.5, seed=lambda first: stream(3 + first))
    torch.testing.assert_close(torch.stack(together)[:, 3:6], torch.stack(alone), rtol=1e-12, atol=0)
    torch.manual_seed(99)
    torch.testing.assert_close(lower_bound(pca.joint(), annealing, 0.5, stream), together.lower, rtol=0, atol=0)
    other = lower_bound(pca.joint(), annealing, 0.5, lambda first: first)
    assert (other != together.lower).all()


@pytest.mark.long
def test_the_size_of_a_block_matters_by_chance_alone(monkeypatch):
    pca = PCA(images=200)
    annealing = Annealing(10, chains=4)
    large = both(pca, annealing)
    monkeypatch.setattr(module, "ROWS", 40)
    small = both(pca, annealing)
    for a, b in zip(large, small, strict=True):
        difference = a - b
        assert difference.mean().abs() < 4 * difference.std() / math.sqrt(200)


@pytest.mark.parametrize("name", ["steps", "chains", "leapfrog", "inflation"])
def test_settings_must_be_positive(name):
    with pytest.raises(ValueError, match=f"{name} > 0, not 0"):
        Annealing(**{name: 0})
