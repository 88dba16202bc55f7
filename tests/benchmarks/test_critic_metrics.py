"""Figures of a critic of data and of a normaliser's estimate, against closed forms and integrals."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from benchmarks.metrics import METRICS, Evaluated
from benchmarks.metrics.protocol import ProtocolSettings
from priors.base import DataCritic, Density, Unsupported
from priors.parts.normal import LOG_2PI, DiagonalNormal
from priors.registry import make
from priors.testing import toy_host

WIDTH, NOISE = 2, 0.3


class Squares(Density, DataCritic):
    """p(z) = N(z | 0, v I), as of D(G(z)) = ||z||^2 / 2 with the weight 1/v - 1; its critic is D(x) = ||x||^2."""

    certainty = "estimate"

    def __init__(self, variance: float):
        super().__init__()
        self.variance = variance

    @property
    def log_prob_error(self) -> float:
        return 0.07

    def sample(self, n: int) -> Tensor:
        return math.sqrt(self.variance) * torch.randn(n, WIDTH)

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square() / self.variance + math.log(self.variance) + LOG_2PI).sum(-1)

    def criticise_data(self, x: Tensor) -> Tensor:
        return x.square().sum(1)


def subject(variance: float, spread: float = 1.0) -> Evaluated:
    """All posteriors are N(0, spread^2 I); the decoder is the identity with Gaussian noise of sd NOISE."""
    q = DiagonalNormal(torch.zeros(2000, WIDTH), torch.full((2000, WIDTH), 2 * math.log(spread)))
    likelihood = SimpleNamespace(sampler="", sample=lambda mean: mean + NOISE * torch.randn_like(mean))
    model = SimpleNamespace(decode=lambda z: z, parameters_of_x=lambda z: z, likelihood=likelihood)
    data = SimpleNamespace(test=range(2000), train=range(2000))
    made = Evaluated(data, ProtocolSettings(), seed=1, model=model, prior=Squares(variance))
    made.q = made.encoded = q
    return made


def test_critic_at_draws_codes_and_images_around_them():
    found = {one.metric: one for one in METRICS["critic"](subject(0.5, spread=0.8))}
    for name, expected in (("critic_generated", WIDTH * 0.5), ("critic_reconstructed", WIDTH * 0.64)):
        assert abs(found[name].value - expected) < 4 * found[name].error
        assert found[name].error < 0.05
    gap = found["critic_mean_gap"]  # E||x||^2 - ||z||^2 = WIDTH NOISE^2, and the spread of 64 draws
    spread = math.sqrt(4 * 0.64 * WIDTH * NOISE**2 / 64)
    assert WIDTH * NOISE**2 < gap.value < WIDTH * NOISE**2 + spread


def test_divergence_of_the_standard_normal_is_the_closed_form():
    (found, *_) = METRICS["normaliser"](subject(0.5))
    expected = 0.5 * WIDTH * (1 / 0.5 - 1 + math.log(0.5))
    assert found.metric == "kl_base_to_prior"
    assert abs(found.value - expected) < 4 * found.error
    assert found.error > 0.07  # that of ln Z is part of it
    assert str(found.estimator).endswith("+estimate")


def relative_variance(variance: float, spread: float, cut: float) -> float:
    """Var(w) / E(w)^2 of w = p(z) / q(z), z ~ q, q a normal of sd `spread` within `cut` of its sds, by quadrature."""
    kept = norm.cdf(cut) - norm.cdf(-cut)
    edge = cut * spread

    def p(z: float) -> float:
        return norm.pdf(z, scale=math.sqrt(variance))

    def q(z: float) -> float:
        return norm.pdf(z, scale=spread) / kept

    first = quad(p, -edge, edge)[0]
    second = quad(lambda z: p(z) ** 2 / q(z), -edge, edge)[0]
    return (second / first**2) ** WIDTH - 1


@pytest.mark.parametrize(("variance", "spread"), [(0.5, 0.8), (0.5, 1.0), (1.0, 1.0)])
def test_variance_of_z_hats_weights_is_the_integral(variance: float, spread: float):
    found = {one.metric: one.value for one in METRICS["normaliser"](subject(variance, spread))}
    assert found["var_zhat_normal"] == pytest.approx(relative_variance(variance, spread, 12.0), rel=0.1, abs=1e-9)
    assert found["var_zhat_truncated"] == pytest.approx(relative_variance(variance, spread, 2.0), rel=0.1, abs=1e-9)


def test_a_prior_without_a_critic_or_with_an_exact_density_says_so():
    made = subject(0.5)
    made.prior = make("gaussian", toy_host(latent_dim=WIDTH))
    with pytest.raises(Unsupported, match="no critic"):
        METRICS["critic"](made)
    with pytest.raises(Unsupported, match="normalised exactly"):
        METRICS["normaliser"](made)
