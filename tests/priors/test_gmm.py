"""The fitted mixture against scikit-learn, SciPy and planted clusters."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from priors import registry
from priors.base import Codes
from priors.gmm import GMM
from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.testing import toy_host

WEIGHT = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
MEAN = torch.tensor([[0.0, 0.0], [6.0, 1.0], [-3.0, 5.0]], dtype=torch.float64)
SCALE = torch.tensor(
    [[[1.0, 0.0], [0.8, 0.5]], [[0.3, 0.0], [0.0, 1.2]], [[0.7, 0.0], [-0.6, 0.4]]], dtype=torch.float64
)


def make(latent_dim: int = 2, dtype: torch.dtype = torch.float64, **settings: object) -> GMM:
    return registry.make("gmm", toy_host(latent_dim=latent_dim), **settings).to(dtype)


def planted() -> GMM:
    """A prior whose parameters are those above."""
    prior = make(components=3)
    prior.log_weight.copy_(WEIGHT.log())
    prior.mean.copy_(MEAN)
    prior.scale.copy_(SCALE)
    return prior


def clusters(n: int, scale: Tensor = SCALE) -> tuple[Tensor, Tensor]:
    """n codes of the planted law, and their clusters."""
    k = torch.multinomial(WEIGHT, n, replacement=True)
    return MEAN[k] + (scale[k] @ torch.randn(n, 2, 1, dtype=torch.float64)).squeeze(-1), k


def points(z: Tensor) -> Codes:
    """Codes of a deterministic encoder: a draw is the point itself."""
    return Codes(lambda: SimpleNamespace(sampler="", sample=lambda: z, mean=z))


def test_density_is_scipys():
    prior, z = planted(), 4 * torch.randn(5, 20, 2, dtype=torch.float64)
    parts = [
        multivariate_normal(mean, scale @ scale.T).logpdf(z.numpy()) + np.log(weight)
        for weight, mean, scale in zip(WEIGHT.numpy(), MEAN.numpy(), SCALE.numpy(), strict=True)
    ]
    torch.testing.assert_close(prior.log_prob(z), torch.from_numpy(logsumexp(parts, axis=0)), rtol=1e-11, atol=1e-11)


def test_gradient_reaches_the_codes():
    z = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(planted().log_prob, (z,))


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_fitted_density_is_sklearns(covariance):
    z, _ = clusters(500)
    prior = make(components=4, covariance=covariance)
    prior.fit(points(z))
    covariances = (prior.scale @ prior.scale.mT).numpy()
    if covariance == "diag":
        off = covariances * (1 - np.eye(2))
        assert not off.any()
        covariances = covariances.diagonal(axis1=1, axis2=2)
    theirs = GaussianMixture(4, covariance_type=covariance)
    theirs.weights_, theirs.means_ = prior.log_weight.exp().numpy(), prior.mean.numpy()
    theirs.precisions_cholesky_ = (
        np.linalg.inv(np.linalg.cholesky(covariances)).transpose(0, 2, 1) if covariance == "full" else covariances**-0.5
    )
    at = 4 * torch.randn(200, 2, dtype=torch.float64)
    expected = torch.from_numpy(theirs.score_samples(at.numpy()))
    torch.testing.assert_close(prior.log_prob(at), expected, rtol=1e-9, atol=1e-9)
    refit = GaussianMixture(
        4, covariance_type=covariance, weights_init=theirs.weights_, means_init=theirs.means_, tol=1e-3,
        precisions_init=np.linalg.inv(covariances) if covariance == "full" else 1 / covariances,
    ).fit(z.numpy())  # fmt: skip
    assert refit.lower_bound_ - prior.log_prob(z).mean().item() < 5e-3


def test_planted_clusters_are_found():
    z, k = clusters(3000)
    prior = make(components=3)
    prior.fit(points(z))
    order = [int((prior.mean - mean).norm(dim=1).argmin()) for mean in MEAN]
    assert sorted(order) == [0, 1, 2]
    for j, found in enumerate(order):
        own = z[k == j]
        assert prior.log_weight[found].exp().item() == pytest.approx(len(own) / len(z), abs=5e-3)
        torch.testing.assert_close(prior.mean[found], own.mean(0), atol=0.02, rtol=0)
        torch.testing.assert_close(prior.scale[found] @ prior.scale[found].T, own.T.cov(), atol=0.03, rtol=0)


def test_diagonal_covariances_of_planted_clusters():
    straight = SCALE.diagonal(dim1=1, dim2=2).diag_embed()
    z, _ = clusters(4000, straight)
    prior = make(components=3, covariance="diag")
    prior.fit(points(z))
    order = [int((prior.mean - mean).norm(dim=1).argmin()) for mean in MEAN]
    torch.testing.assert_close(prior.scale[order], straight, atol=0.06, rtol=0)


def test_draws_have_the_planted_moments():
    z = planted().sample(40_000)
    k = torch.cdist(z, MEAN).argmin(1)  # clusters are far apart but for a few draws
    share = torch.bincount(k) / len(z)
    assert ((share - WEIGHT).abs() < 4 * (WEIGHT * (1 - WEIGHT) / len(z)).sqrt() + 3e-3).all()
    mean = WEIGHT @ MEAN
    within = torch.einsum("k,kij,klj->il", WEIGHT, SCALE, SCALE)
    covariance = within + torch.einsum("k,ki,kj->ij", WEIGHT, MEAN - mean, MEAN - mean)
    products = (z - mean)[:, :, None] * (z - mean)[:, None]
    for draws, expected in ((z, mean), (products, covariance)):
        assert ((draws.mean(0) - expected).abs() < 4 * draws.std(0) / math.sqrt(len(draws))).all()


def test_it_is_the_standard_normal_until_it_is_fitted():
    prior, z = make(latent_dim=5), 3 * torch.randn(40, 5, dtype=torch.float64)
    torch.testing.assert_close(prior.log_prob(z), log_standard_normal(z), rtol=0, atol=1e-7)
    assert list(prior.parameters()) == []
    assert not prior.fitted
    draws = prior.sample(20_000)
    assert (draws.mean(0).abs() < 4 / math.sqrt(20_000)).all()
    assert (draws.T.cov() - torch.eye(5)).abs().max() < 4 * math.sqrt(2 / 20_000)


def test_stochastic_codes_are_drawn():
    q = DiagonalNormal(torch.zeros(4000, 2).double(), torch.full((4000, 2), math.log(9.0)).double())
    prior = make(components=1)
    prior.fit(Codes(lambda: q))
    torch.testing.assert_close(prior.scale[0], 3 * torch.eye(2).double(), atol=0.15, rtol=0)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_a_constant_dimension_keeps_the_floor(covariance):
    z, _ = clusters(300)
    prior = make(latent_dim=3, components=3, covariance=covariance, floor=1e-4)
    prior.fit(points(torch.cat([z, torch.full((300, 1), 7.0).double()], 1)))
    torch.testing.assert_close(prior.mean[:, 2], torch.full((3,), 7.0).double())
    torch.testing.assert_close(prior.scale[:, 2, 2], torch.full((3,), 1e-2).double())
    assert prior.log_prob(prior.sample(50)).isfinite().all()


def test_codes_that_are_all_equal_are_fitted():
    prior = make(components=3)
    with pytest.warns(ConvergenceWarning, match="distinct clusters"):
        prior.fit(points(torch.ones(20, 2).double()))
    assert (prior.sample(30) - 1).abs().max() < 0.01


def test_more_components_than_codes_are_refused():
    prior = make(components=21)
    with pytest.raises(ValueError, match=r"gmm needs components <= 20, .* not 21"):
        prior.fit(points(torch.randn(20, 2)))
    assert not prior.fitted


def test_fits_repeat_and_are_done_once():
    z, _ = clusters(200)
    fits = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        prior = make(components=8)
        prior.fit(points(z))
        fits.append(prior.state_dict())
    assert all(torch.equal(fits[0][key], fits[1][key]) for key in fits[0])
    assert not torch.equal(fits[0]["mean"], fits[2]["mean"])
    prior.fit(points(z + 100))
    assert torch.equal(prior.mean, fits[2]["mean"])


def test_a_loaded_state_is_the_law_and_is_not_fitted_again():
    z, _ = clusters(200)
    fitted, loaded = make(components=3, dtype=torch.float32), make(components=3, dtype=torch.float32)
    fitted.fit(points(z.float()))
    loaded.load_state_dict(fitted.state_dict())
    loaded.fit(points(z.float() + 100))
    assert torch.equal(loaded.log_prob(z.float()), fitted.log_prob(z.float()))


def test_frozen_is_in_double_precision():
    z, _ = clusters(300)
    narrow = torch.cat([z, z @ torch.tensor([[1.0], [1.0]]).double() + 1e-3 * torch.randn(300, 1).double()], 1).float()
    prior = make(latent_dim=3, components=3, dtype=torch.float32)
    prior.fit(points(narrow))
    exact = prior.frozen()(narrow)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact, prior.double().log_prob(narrow.double()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("settings", [{"components": 0}, {"floor": 0.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"gmm needs {next(iter(settings))}"):
        make(**settings)
