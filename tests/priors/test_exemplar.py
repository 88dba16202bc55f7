"""The exemplar prior, against sums over torch's own normals."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MixtureSameFamily, Normal
from torch.distributions.categorical import Categorical

from priors import registry
from priors.base import Batch, Host, Unsupported
from priors.exemplar import Exemplar
from priors.testing import ToyHost, toy_codes, toy_host

N = 40


def made(**settings: object) -> tuple[ToyHost, Exemplar]:
    torch.manual_seed(0)
    host = toy_host(dtype=torch.float64, count=N)
    prior = registry.make("exemplar", host, **settings).double()
    assert isinstance(prior, Exemplar)
    return host, prior


def log_p(host: ToyHost, prior: Exemplar, z: Tensor, left_out: int | None = None) -> Tensor:
    """ln of the mean of N(z; mu(x_n), s^2 I) over n, but for the one that is left out, by torch's distributions."""
    means = host.encode(host.autoencoder.images).mean.detach()
    kept = torch.tensor([n for n in range(N) if n != left_out])
    normals = Independent(Normal(means[kept], (0.5 * prior.log_variance).exp().detach()), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(kept)).double()), normals).log_prob(z)


def trained(host: ToyHost, prior: Exemplar, index: Tensor) -> tuple[Tensor, Tensor]:
    """z of the batch's posteriors, and what training takes for ln p there."""
    x = host.inputs(index)
    q = host.encode(x)
    z = q.sample()
    return z, q.log_prob(z) - prior.train().divergence(Batch(x, index=index), q, z)


@pytest.mark.parametrize("neighbours", [0, N - 1])
def test_training_leaves_an_images_own_component_out(neighbours: int):
    host, prior = made(exemplars=N, neighbours=neighbours)
    index = torch.tensor([3, 17, 39])
    z, found = trained(host, prior, index)
    wanted = torch.stack([log_p(host, prior, z[i], int(n)) for i, n in enumerate(index)])
    torch.testing.assert_close(found, wanted)
    assert not torch.allclose(found, log_p(host, prior, z), rtol=1e-3)


def test_near_exemplars_bound_the_density_from_below():
    found = []
    for neighbours in (1, 3, 10, N - 1):
        host, prior = made(exemplars=N, neighbours=neighbours)
        found.append(trained(host, prior, torch.arange(N))[1])
    gaps = (torch.stack(found[:-1]) - found[-1]).mean(1)
    assert (gaps <= 0).all()
    assert (gaps.diff() > 0).all()


@pytest.mark.parametrize("neighbours", [20, 100])
def test_no_exemplar_is_missing_where_as_many_neighbours_as_there_are_take_part(neighbours: int):
    """Half of the images lack most images' own: all 20 then count, not the 19 nearest."""
    found = []
    for number in (0, neighbours):
        _, prior = made(exemplars=20, neighbours=number)
        torch.manual_seed(1)
        found.append(prior.log_others(torch.randn(N, 2, dtype=torch.float64), torch.arange(N)))
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("neighbours", [0, 1, 10])
def test_of_two_images_the_other_one_is_the_law(count: int, neighbours: int):
    torch.manual_seed(0)
    host = toy_host(dtype=torch.float64, count=count)
    prior = registry.make("exemplar", host, exemplars=2, neighbours=neighbours).double()
    index = torch.arange(count)
    assert prior.log_others(torch.randn(count, 2, dtype=torch.float64), index).isfinite().all()
    assert registry.make("exemplar", host).count == 2


def test_a_random_half_has_the_density_as_its_expectation():
    host, prior = made(neighbours=0)
    x = host.inputs(torch.arange(5))
    q = host.encode(x)
    z = q.sample()
    draws = torch.stack([prior.log_others(z, torch.arange(5)).exp() for _ in range(4000)]).detach()
    wanted = torch.stack([log_p(host, prior, z[i], i).exp() for i in range(5)])
    error = draws.std(0) / len(draws) ** 0.5
    # A half that happens to hold the image's own exemplar has one component fewer; both kinds have the same mean.
    assert ((draws.mean(0) - wanted).abs() < 4 * error).all()


def test_without_an_index_nothing_is_left_out():
    host, prior = made()
    x = host.inputs(torch.arange(4))
    q = host.encode(x)
    z = q.sample()
    for batch in (Batch(x), Batch(x, index=torch.arange(4))):
        value = prior.eval().divergence(batch, q, z)
        torch.testing.assert_close(value, q.log_prob(z) - log_p(host, prior, z))


def test_codes_are_those_last_seen_and_after_fit_those_that_are():
    host, prior = made()
    before = prior.means.clone()
    with torch.no_grad():
        host.autoencoder.encoder.bias += 0.5
    now = host.encode(host.autoencoder.images).mean.detach()
    index = torch.tensor([2, 5])
    trained(host, prior, index)
    torch.testing.assert_close(prior.means[index], now[index])
    assert torch.equal(prior.means[6:], before[6:])
    prior.eval().fit(toy_codes(host))
    torch.testing.assert_close(prior.means, now)
    z = torch.randn(50, 2, dtype=torch.float64)
    torch.testing.assert_close(prior.log_prob(z), log_p(host, prior, z))


def test_the_gradient_reaches_the_encoder_and_the_width():
    host, prior = made(neighbours=3)
    index = torch.arange(8)
    x = host.inputs(index)
    q = host.encode(x)
    z = q.sample()
    log_others = prior.log_others(z, index).sum()
    weights = (host.autoencoder.encoder.weight, prior.log_variance)
    for gradient in torch.autograd.grad(log_others, weights):
        assert gradient.abs().max() > 0


def test_draws_come_from_all_components():
    host, prior = made()
    prior.eval().fit(toy_codes(host))
    z = prior.sample(20_000)
    means = host.encode(host.autoencoder.images).mean.detach()
    variance = means.var(0, correction=0) + prior.log_variance.exp().item()
    assert (z.mean(0) - means.mean(0)).abs().max() < 4 * math.sqrt(variance.max().item() / len(z))
    torch.testing.assert_close(z.var(0), variance, rtol=0.05, atol=0)


def test_what_it_cannot_use_is_refused():
    deterministic = Host(2, (2,), 9, False, False, *(lambda x: x for _ in range(2)), torch.rand, torch.rand)
    with pytest.raises(Unsupported, match="deterministic"):
        Exemplar(deterministic)
    host = toy_host()
    odd = replace(host, encode=lambda x: Independent(Normal(x, 1.0), 1))  # type: ignore[arg-type, return-value]
    with pytest.raises(Unsupported, match="exemplar needs diagonal normal posteriors, not Independent"):
        Exemplar(odd)
    with pytest.raises(ValueError, match="neighbours >= 0"):
        made(neighbours=-1)
    with pytest.raises(ValueError, match="two exemplars a step, as an image's own is left out, not 1 of 40 images"):
        made(exemplars=1)
    with pytest.raises(ValueError, match="not 1 of 1 images"):
        registry.make("exemplar", toy_host(count=1))
