"""The mixture of posteriors against torch's own, its random subsets, and what it refuses."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from largest import Largest
from priors import registry
from priors.aggregate import Aggregate
from priors.base import Batch, Codes, Host, Unsupported
from priors.parts import normal
from priors.parts.normal import DiagonalNormal, mixture_of
from priors.testing import toy_codes, toy_host


def make(host: Host, dtype: torch.dtype = torch.float64, **settings: object) -> Aggregate:
    return registry.make("aggregate", host, **settings).to(dtype)


def reference(q: DiagonalNormal) -> MixtureSameFamily:
    """Torch's own mixture with equal weights."""
    components = Independent(Normal(q.mean, (0.5 * q.log_variance).exp()), 1)
    return MixtureSameFamily(Categorical(logits=torch.zeros(len(q.mean), dtype=q.mean.dtype)), components)


def narrow(count: int = 40, sd: float = 0.01) -> DiagonalNormal:
    mean = 3 * torch.randn(count, 2)
    return DiagonalNormal(mean, 2 * math.log(sd) + 0.2 * torch.randn(count, 2))


def recorded(host: Host) -> tuple[Host, list[Tensor]]:
    """The host, and the images that it hands out."""
    given: list[Tensor] = []

    def examples(n: int) -> Tensor:
        given.append(host.examples(n))
        return given[-1]

    return dataclasses.replace(host, examples=examples), given


def test_fitted_density_is_the_mixture_of_all_posteriors():
    host = toy_host(dtype=torch.float64)
    prior, codes = make(host, components=3), toy_codes(host)
    prior.fit(codes)
    z = 2 * torch.randn(4, 30, 2, dtype=torch.float64)
    expected = reference(codes.posterior).log_prob(z)
    torch.testing.assert_close(prior.log_prob(z), expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(prior.frozen()(z), expected, rtol=1e-10, atol=1e-10)


def test_fitted_density_is_in_double_precision():
    q = narrow()
    prior, z = make(toy_host(), torch.float32), q.sample()
    assert prior.frozen()(z).dtype == torch.float64
    prior.fit(Codes(lambda: q))
    expected = reference(DiagonalNormal(q.mean.double(), q.log_variance.double())).log_prob(z.double())
    torch.testing.assert_close(prior.frozen()(z), expected, rtol=1e-9, atol=1e-9)
    assert prior.log_prob(z).dtype == torch.float32
    torch.testing.assert_close(prior.log_prob(z), expected.float(), rtol=1e-6, atol=1e-6)
    single = mixture_of(q, "aggregate").joint(z).logsumexp(-1)
    assert (single - expected).abs().max() > 1e-4  # or single precision would pass
    assert prior.sample(5).dtype == torch.float32


def test_fitted_draws_are_those_of_the_mixture():
    q = DiagonalNormal(torch.tensor([[0.0, 0.0], [5.0, 1.0], [-4.0, 2.0]]), torch.tensor([[0.0, 1.0]] * 3))
    prior = make(toy_host(), torch.float32)
    prior.fit(Codes(lambda: q))
    z = prior.sample(20_000).double()
    mean = q.mean.double().mean(0)
    centred = q.mean.double() - mean
    covariance = centred.T @ centred / 3 + torch.tensor([1.0, math.e], dtype=torch.float64).diag()
    products = (z - mean)[:, :, None] * (z - mean)[:, None]
    for draws, expected in ((z, mean), (products, covariance)):
        assert ((draws.mean(0) - expected).abs() < 4 * draws.std(0) / math.sqrt(len(draws))).all()


def test_before_fit_it_mixes_the_posteriors_of_images_drawn_at_construction():
    host, given = recorded(toy_host(dtype=torch.float64))
    prior = make(host, components=7)
    (images,) = given
    assert images.shape == (7, 6)
    z = torch.randn(20, 2, dtype=torch.float64)
    for _ in range(2):
        expected = reference(host.encode(images)).log_prob(z)
        torch.testing.assert_close(prior.log_prob(z), expected, rtol=1e-10, atol=1e-10)
        with torch.no_grad():
            host.autoencoder.encoder.bias += 1.0  # it follows the encoder
    prior.fit(toy_codes(host))
    fitted = prior.log_prob(z)
    with torch.no_grad():
        host.autoencoder.encoder.bias += 1.0
    assert torch.equal(prior.log_prob(z), fitted)  # the fitted one does not
    assert len(given) == 1


def test_training_draws_images_afresh_and_its_gradient_reaches_the_encoder():
    host, given = recorded(toy_host(dtype=torch.float64))
    prior = make(host, components=7)
    q = DiagonalNormal(torch.randn(9, 2).double(), torch.randn(9, 2).double())
    x, z = torch.rand(9, 6).double(), q.sample()
    for _ in range(2):
        estimate = prior.divergence(Batch(x), q, z)
        expected = Independent(Normal(q.mean, q.stddev), 1).log_prob(z) - reference(host.encode(given[-1])).log_prob(z)
        torch.testing.assert_close(estimate, expected, rtol=1e-10, atol=1e-10)
    assert len(given) == 3
    assert not torch.equal(given[1], given[2])
    estimate.mean().backward()
    assert all(p.grad.abs().max() > 0 for p in host.autoencoder.encoder.parameters())
    torch.testing.assert_close(prior.eval().divergence(Batch(x), q, z), q.log_prob(z) - prior.log_prob(z))
    assert len(given) == 3


@pytest.mark.long
def test_training_mixture_has_the_law_of_all_as_its_expectation():
    host = toy_host(dtype=torch.float64, count=20)
    prior, z = make(host, components=4), torch.randn(6, 2, dtype=torch.float64)
    q = DiagonalNormal(torch.zeros(6, 2).double(), torch.zeros(6, 2).double())
    with torch.no_grad():
        log_p = torch.stack([q.log_prob(z) - prior.divergence(Batch(z), q, z) for _ in range(3000)])
    all_of_them = reference(toy_codes(host).posterior).log_prob(z)
    ratio = (log_p - all_of_them).exp()
    assert ((ratio.mean(0) - 1).abs() < 4 * ratio.std(0) / math.sqrt(3000)).all()
    assert (log_p.mean(0) < all_of_them).all()


def test_no_more_images_are_drawn_than_there_are():
    host, given = recorded(toy_host(count=20))
    prior = make(host, torch.float32, components=500)
    q = DiagonalNormal(torch.zeros(2, 2), torch.zeros(2, 2))
    prior.divergence(Batch(torch.rand(2, 6)), q, q.sample())
    assert [len(images) for images in given] == [20, 20]


@pytest.mark.long
def test_memory_is_bounded(monkeypatch):
    host = toy_host(count=50, dtype=torch.float64)
    prior, z = make(host), torch.randn(300, 2, dtype=torch.float64)
    prior.fit(toy_codes(host))
    whole = prior.log_prob(z)
    monkeypatch.setattr(normal, "SIDE", 30)
    for density in (prior.log_prob, prior.frozen()):
        with Largest() as largest:
            torch.testing.assert_close(density(z), whole)
        assert largest.elements <= 1000


def test_state_is_the_images_alone():
    host = toy_host(dtype=torch.float64)
    saved, loaded = make(host, components=5), make(host, components=5)
    saved.fit(toy_codes(host))
    assert list(saved.state_dict()) == ["images"]
    loaded.load_state_dict(saved.state_dict())
    loaded.fit(toy_codes(host))
    z = torch.randn(9, 2, dtype=torch.float64)
    assert torch.equal(loaded.log_prob(z), saved.log_prob(z))
    assert list(saved.parameters()) == []


def test_deterministic_encoders_are_refused():
    with pytest.raises(Unsupported, match=r"aggregate.*deterministic"):
        make(dataclasses.replace(toy_host(), stochastic=False))


def test_other_posteriors_are_refused():
    def encode(x: Tensor) -> Distribution:
        return Independent(Normal(x[:, :2], torch.ones(len(x), 2)), 1)

    prior = make(dataclasses.replace(toy_host(), encode=encode), torch.float32)
    z = torch.zeros(1, 2)
    for use in (
        lambda: prior.log_prob(z),
        lambda: prior.divergence(Batch(z), DiagonalNormal(z, z), z),
        lambda: prior.fit(Codes(lambda: encode(torch.rand(5, 6)))),
    ):
        with pytest.raises(Unsupported, match="aggregate needs diagonal normal posteriors, not Independent"):
            use()


def test_no_components_are_refused():
    with pytest.raises(ValueError, match="aggregate needs components >= 1, not 0"):
        make(toy_host(), components=0)
