"""Laws of whole numbers, against SciPy's and sums over all of them; and a VAE of counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from models import registry
from models.counts import Categorical, NegativeBinomial
from models.likelihoods import Likelihood, Observed
from priors import registry as priors
from priors.base import Batch

SHAPE = (2, 3)
DRAWS = 40_000


def counts(*batch: int) -> Tensor:
    return torch.poisson(torch.full((*batch, *SHAPE), 3.0)).double()


def given(name: str, levels: int | None = 5, step: float = 1.0) -> Likelihood:
    return registry.make_likelihood(name, Observed(SHAPE, False, step, levels=levels)).double()


def test_negative_binomial_is_scipys():
    torch.manual_seed(0)
    law, x, out = given("negative-binomial"), counts(9), torch.randn(9, 2, *SHAPE, dtype=torch.float64)
    mean, r = (part.numpy() for part in out.exp().unbind(1))
    expected = scipy.stats.nbinom(r, r / (r + mean)).logpmf(x.numpy()).reshape(9, -1).sum(1)
    torch.testing.assert_close(law.log_prob(x, out), torch.from_numpy(expected))


@pytest.mark.parametrize("log_r", [3.0, 9.0, 15.0])
@pytest.mark.parametrize("mean", [3.0, 200.0])
def test_near_poissons_law_float32_loses_no_more_than_its_last_digits(log_r: float, mean: float):
    """Value and slope beside sums of ln(r + i), i < x, which have no difference of large numbers."""
    torch.manual_seed(0)
    law, x = NegativeBinomial((40,)), torch.poisson(torch.full((1, 40), mean))
    out = torch.tensor([math.log(mean), log_r]).view(1, 2, 1).repeat(1, 1, 40).requires_grad_()
    log_mean, log_dispersion = (part.detach().double().requires_grad_() for part in out.unbind(1))
    r, m, i = log_dispersion.exp(), log_mean.exp(), torch.arange(int(x.max())).double()
    ways = ((r[..., None] + i).log() * (i < x[..., None])).sum(-1) - torch.lgamma(x.double() + 1)
    expected = (ways - r * torch.log1p(m / r) + x * (log_mean - torch.log(r + m))).sum()
    found = law.log_prob(x, out)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    (slope,) = torch.autograd.grad(found.sum(), out)
    wanted = torch.stack(torch.autograd.grad(expected, (log_mean, log_dispersion)), 1)
    torch.testing.assert_close(slope.double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["negative-binomial", "categorical"])
def test_draws_have_the_mean_and_the_mass_of_the_law(name: str):
    torch.manual_seed(1)
    law = given(name)
    out = 0.7 * torch.randn(1, law.outputs, *SHAPE, dtype=torch.float64)
    draws = law.sample(out.expand(DRAWS, *out.shape[1:]))
    error = draws.std(0) / math.sqrt(DRAWS)
    assert ((draws.mean(0) - law.mean(out)[0]).abs() < 4 * error).all()
    for k in range(3):  # of the first element alone: the others' probability is 1 where they are drawn as they are
        share = (draws[:, 0, 0] == k).double().mean().item()
        x = draws[:1].expand(2, *SHAPE).clone()
        x[0, 0, 0], x[1, 0, 0] = k, 0
        ratio = (law.log_prob(x[:1], out) - law.log_prob(x[1:], out)).exp().item()
        zero = (draws[:, 0, 0] == 0).double().mean().item()
        assert share / zero == pytest.approx(ratio, rel=0.1)


def test_all_categories_together_have_mass_one():
    law, out = Categorical((1,), levels=4), torch.randn(1, 4, 1, dtype=torch.float64)
    every = torch.arange(4.0).double()[:, None]
    assert law.log_prob(every, out.expand(4, 4, 1)).exp().sum().item() == pytest.approx(1)
    grey = Categorical((1,), levels=4, step=1 / 3)
    torch.testing.assert_close(grey.log_prob(every / 3, out.expand(4, 4, 1)), law.log_prob(every, out.expand(4, 4, 1)))
    torch.testing.assert_close(grey.seen(every / 3), every / 3)


def test_all_counts_together_have_mass_one():
    law, out = NegativeBinomial((1,)), torch.tensor([[[1.0], [0.3]]], dtype=torch.float64)
    every = torch.arange(3000.0).double()[:, None]
    assert law.log_prob(every, out.expand(3000, 2, 1)).exp().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("name", ["negative-binomial", "categorical"])
def test_draws_and_codes_broadcast(name: str):
    law, x = given(name), counts(5).clamp(max=4)
    out = torch.randn(4, 5, law.outputs, *SHAPE, dtype=torch.float64)
    value = law.log_prob(x, out)
    assert value.shape == (4, 5)
    assert law.mean(out).shape == law.sample(out).shape == (4, 5, *SHAPE)
    torch.testing.assert_close(value[2, 3], law.log_prob(x[3:4], out[2, 3:4])[0])


@pytest.mark.parametrize("extreme", [-100.0, 100.0])
def test_extreme_decoders_keep_the_loss_and_its_gradient_finite(extreme: float):
    law, out = NegativeBinomial(SHAPE), torch.full((1, 2, *SHAPE), extreme, requires_grad=True)
    (gradient,) = torch.autograd.grad(law.log_prob(counts(1).float(), out).sum(), out)
    assert gradient.isfinite().all()


def test_other_data_are_refused():
    with pytest.raises(ValueError, match="needs counts 0, 1, 2"):
        given("negative-binomial", levels=None)
    with pytest.raises(ValueError, match="needs counts 0, 1, 2"):
        given("negative-binomial", levels=256, step=1 / 255)
    with pytest.raises(ValueError, match="needs whole numbers"):
        given("categorical", levels=None)
    with pytest.raises(ValueError, match="use negative-binomial for counts"):
        given("categorical", levels=5000)


@pytest.mark.parametrize("name", ["negative-binomial", "categorical"])
def test_a_vae_of_counts_learns(name: str):
    """From data of two groups with other means: the loss falls, and the encoder is given tame numbers."""
    torch.manual_seed(0)
    rates = torch.tensor([[8.0, 1, 1, 8], [1, 8, 8, 1]]).repeat(100, 1)
    x = torch.poisson(rates).clamp(max=19)
    parts = {"backbone": "mlp", "widths": (16,), "posterior": "normal", "likelihood": name}
    model = registry.make((4,), False, type="vae", latent_dim=2, step=1.0, levels=20, **parts)
    assert model.likelihood.seen(x).max() <= 3
    host = model.host((4,), 200, False, lambda n: x[:n], lambda index: x[index])
    (player,) = model.players(priors.make("gaussian", host))
    adam = torch.optim.Adam(player.parameters, lr=1e-2)
    losses = []
    for _ in range(150):
        loss, _ = player.loss(Batch(x))
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < losses[0] - 1
