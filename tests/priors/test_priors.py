"""What is peculiar to one prior, and the shared mathematics. Laws of all priors: test_conformance.py."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from largest import Largest
from priors import registry
from priors.base import Density, Host, Player, Prior, Unsupported, density, parameter_count
from priors.parts.normal import DiagonalNormal, NormalMixture
from priors.testing import toy_host

PRIORS = registry.PRIORS
DRAWS = 20_000


def mixture_reference(mean: Tensor, log_variance: Tensor, log_weight: Tensor) -> MixtureSameFamily:
    """Torch's own mixture, which subtracts z and the means in an array of shape (B, K, D)."""
    components = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    return MixtureSameFamily(Categorical(logits=log_weight), components)


def close_to(draws: Tensor, expected: Tensor) -> None:
    """The mean of `draws` over its first dimension lies within 4 standard errors of `expected`."""
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() < 4 * error).all(), (draws.mean(0), expected, error)


# The contract


class Game(Density):
    """A prior with a critic that it trains itself."""

    def __init__(self, host: Host):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(host.latent_dim))
        self.critic = nn.Linear(host.latent_dim, 1)

    def sample(self, n: int) -> Tensor:
        return self.mean.detach() + torch.randn(n, len(self.mean))

    def log_prob(self, z: Tensor) -> Tensor:
        return -(z - self.mean).square().sum(-1)

    def players(self) -> tuple[Player, ...]:
        return (Player("critic", tuple(self.critic.parameters()), lambda batch: (batch.x.sum(), {})),)


def test_what_a_player_owns_is_not_shared():
    prior = Game(toy_host())
    assert [id(p) for p in prior.shared_parameters()] == [id(prior.mean)]


def test_density_refuses_a_prior_that_has_none():
    class OnlySamples(Prior):
        def sample(self, n: int) -> Tensor:
            return torch.zeros(n, 2)

    with pytest.raises(Unsupported, match="OnlySamples"):
        density(OnlySamples())
    prior = Game(toy_host())
    assert density(prior) is prior


def test_parameter_count_leaves_out_what_is_not_trained():
    prior = Game(toy_host(latent_dim=3))
    assert parameter_count(prior) == 3 + 4
    prior.critic.bias.requires_grad_(False)
    assert parameter_count(prior) == 3 + 3


# Normal laws


def test_gaussian_known_values():
    prior = registry.make("gaussian", toy_host(latent_dim=3))
    assert list(prior.parameters()) == []
    z = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]])
    expected = torch.tensor([-2.756815599614018, -2.756815599614018 - 7])
    torch.testing.assert_close(prior.log_prob(z), expected)


def diagonal() -> tuple[DiagonalNormal, Distribution]:
    mean, log_variance = torch.randn(2, 6, 3, dtype=torch.float64)
    return DiagonalNormal(mean, log_variance), Independent(Normal(mean, (0.5 * log_variance).exp()), 1)


def test_diagonal_normal_is_torchs():
    ours, theirs = diagonal()
    z = torch.randn(4, 6, 3, dtype=torch.float64)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape) == ((6,), (3,))
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z), rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)


def test_diagonal_normal_draws_have_its_moments_and_gradient():
    ours, _ = diagonal()
    z = ours.sample((DRAWS,))
    assert z.shape == (DRAWS, 6, 3)
    close_to(z, ours.mean)
    close_to((z - ours.mean).square(), ours.variance)
    mean, log_variance = (t.clone().requires_grad_() for t in (ours.mean, ours.log_variance))
    z = DiagonalNormal(mean, log_variance).rsample()
    z.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(log_variance.grad, 0.5 * (z - mean).detach())


@pytest.mark.parametrize("index", [slice(2, 5), 3, torch.tensor([4, 0, 4])])
def test_diagonal_normal_is_indexed_over_its_batch(index):
    ours, theirs = diagonal()
    z = torch.randn(6, 3, dtype=torch.float64)
    torch.testing.assert_close(ours[index].log_prob(z[index]), theirs.log_prob(z)[index])


@pytest.mark.parametrize(("sd", "offset"), [(1.0, 0.0), (0.03, 0.0), (0.03, 100.0)])
def test_normal_mixture_is_torchs(sd, offset):
    mean = offset + torch.randn(7, 3, dtype=torch.float64)
    log_variance = 2 * math.log(sd) + 0.2 * torch.randn(7, 3, dtype=torch.float64)
    log_weight = torch.randn(7, dtype=torch.float64).log_softmax(0)
    near = mean[torch.randint(7, (200,))] + sd * torch.randn(200, 3, dtype=torch.float64)
    z = torch.cat([near, offset + torch.randn(50, 3, dtype=torch.float64)]).reshape(5, 50, 3)
    expected = mixture_reference(mean, log_variance, log_weight).log_prob(z)
    torch.testing.assert_close(
        NormalMixture(mean, log_variance, log_weight).log_prob(z), expected, rtol=1e-10, atol=1e-10
    )


def narrow_mixture(sd: float, spread: float) -> tuple[NormalMixture, list[torch.Tensor], torch.Tensor]:
    """Fifty components in float32, what they are made of, and codes drawn from them, (200, 10)."""
    mean = (3 + spread * torch.randn(50, 10)).requires_grad_()
    log_variance = torch.full((50, 10), 2 * math.log(sd), requires_grad=True)
    z = mean[torch.randint(50, (200,))].detach() + sd * torch.randn(200, 10)
    return NormalMixture(mean, log_variance, torch.full((50,), -math.log(50))), [mean, log_variance], z


@pytest.mark.parametrize("sd", [0.03, 0.0025])
def test_normal_mixture_of_narrow_components_is_not_rounded_away(sd):
    """Nor its gradient: in float32 alone the products lose up to hundreds of nats."""
    law, parts, z = narrow_mixture(sd, spread=3.0)
    exact = [part.detach().double().requires_grad_() for part in parts]
    expected = mixture_reference(*exact, law.log_weight.double()).log_prob(z.double())
    found = law.log_prob(z)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-4)
    assert (law.joint(z).logsumexp(-1) - expected).abs().max() > 0.01  # or the test would show nothing
    torch.testing.assert_close(law.log_prob_in_chunks(z), found)
    ours, theirs = torch.autograd.grad(found.sum(), parts), torch.autograd.grad(expected.sum(), exact)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


def test_normal_mixture_in_float64_is_itself():
    law = narrow_mixture(sd=1e-9, spread=3.0)[0].double()
    assert law.double() is law


def test_normal_mixture_draws_components_by_weight():
    mean = torch.tensor([[0.0], [10.0], [20.0]], dtype=torch.float64)
    weight = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    law = NormalMixture(mean, torch.full((3, 1), -4.0, dtype=torch.float64), weight.log())
    close_to(nn.functional.one_hot((law.sample(DRAWS) / 10).round().long()[:, 0], 3).double(), weight)


def test_normal_mixture_makes_no_array_over_codes_components_and_dimensions():
    b, k, d = 64, 32, 16
    mean, log_variance = torch.randn(k, d, requires_grad=True), torch.zeros(k, d, requires_grad=True)
    log_weight = torch.full((k,), -math.log(k))
    z = torch.randn(b, d)
    with Largest() as ours:
        NormalMixture(mean, log_variance, log_weight).log_prob(z).sum().backward()
    with Largest() as theirs:
        mixture_reference(mean, log_variance, log_weight).log_prob(z)
    assert theirs.elements == b * k * d  # so this test would see one
    assert ours.elements <= b * k


# Mixture


def test_mixture_floor_keeps_components_from_collapsing():
    prior = registry.make("mixture", toy_host(), components=3, floor=-2.0)
    with torch.no_grad():
        prior.log_variance.fill_(-20.0)
        prior.log_variance[0] = 1.0
    assert prior.law().log_variance[:, 0].tolist() == [1.0, -2.0, -2.0]
    wide, narrow = (registry.make("mixture", toy_host(), components=1, floor=floor) for floor in (0.0, -9.0))
    for one in (wide, narrow):
        nn.init.zeros_(one.mean)
        nn.init.constant_(one.log_variance, -9.0)
    at_zero = torch.zeros(1, 2)
    assert narrow.log_prob(at_zero).item() - wide.log_prob(at_zero).item() == pytest.approx(9.0, abs=1e-4)


def test_mixture_starts_as_documented():
    prior = registry.make("mixture", toy_host(latent_dim=20), components=500, spread=0.3)
    close_to(prior.mean.detach().flatten().square(), torch.tensor(0.09))
    law = prior.law()
    assert (law.log_variance == 0).all()
    torch.testing.assert_close(law.log_weight.exp(), torch.full((500,), 1 / 500))


@pytest.mark.parametrize("name", ["mixture", "vampprior"])
@pytest.mark.parametrize("components", [0, -3])
def test_no_components_are_refused(name, components):
    with pytest.raises(ValueError, match=rf"{name}.*components >= 1.*{components}"):
        registry.make(name, toy_host(), components=components)


# VampPrior


@pytest.mark.parametrize("bounded", [True, False])
def test_vampprior_mixes_the_posteriors_of_its_pseudo_inputs(bounded):
    host = dataclasses.replace(toy_host(dtype=torch.float64), bounded=bounded)
    prior = registry.make("vampprior", host, components=4).double()
    nn.init.normal_(prior.pseudo_inputs, 0.5, 1.0)
    u = prior.pseudo_inputs.clamp(0, 1) if bounded else prior.pseudo_inputs
    assert bounded == (not torch.equal(u, prior.pseudo_inputs))
    q = host.encode(u)
    z = torch.randn(30, 2, dtype=torch.float64)
    expected = Independent(Normal(q.mean, q.stddev), 1).log_prob(z[:, None]).logsumexp(1) - math.log(4)
    torch.testing.assert_close(prior.log_prob(z), expected, rtol=1e-10, atol=1e-10)


def test_vampprior_gradient_reaches_the_encoder_that_it_does_not_own():
    host = toy_host()
    toy = host.autoencoder
    prior = registry.make("vampprior", host, components=4)
    assert list(prior.state_dict()) == ["pseudo_inputs"]
    prior.log_prob(torch.randn(10, 2)).mean().backward()
    for parameter in toy.encoder.parameters():
        assert parameter.grad.abs().max() > 0
    assert toy.decoder.weight.grad is None


def test_vampprior_follows_the_encoder_but_frozen_does_not():
    host = toy_host()
    prior = registry.make("vampprior", host, components=4)
    z = torch.randn(10, 2)
    frozen = prior.frozen()
    before = prior.log_prob(z)
    with torch.no_grad():
        host.autoencoder.encoder.bias += 1.0
    assert not torch.allclose(prior.log_prob(z), before, atol=1e-3)
    torch.testing.assert_close(frozen(z).float(), before)


def test_vampprior_refuses_a_deterministic_encoder():
    with pytest.raises(Unsupported, match="deterministic"):
        registry.make("vampprior", dataclasses.replace(toy_host(), stochastic=False))


def test_vampprior_refuses_other_posteriors():
    def encode(x: Tensor) -> Distribution:
        return Independent(Normal(x[:, :2], torch.ones(len(x), 2)), 1)

    prior = registry.make("vampprior", dataclasses.replace(toy_host(), encode=encode))
    with pytest.raises(Unsupported, match="Independent"):
        prior.log_prob(torch.zeros(1, 2))


def test_vampprior_starts_at_data_or_at_noise():
    images = torch.rand(300, 6)
    host = dataclasses.replace(toy_host(), examples=lambda n: images[:n])
    exact = registry.make("vampprior", host, components=300, start="data", noise=0.0)
    assert torch.equal(exact.pseudo_inputs, images)
    near = registry.make("vampprior", host, components=300, start="data", noise=0.2).pseudo_inputs.detach()
    close_to((near - images).flatten().square(), torch.tensor(0.04))
    noise = registry.make("vampprior", host, components=300, start="normal", level=0.3, noise=0.1).pseudo_inputs
    close_to(noise.detach().flatten(), torch.tensor(0.3))
    close_to((noise.detach() - 0.3).flatten().square(), torch.tensor(0.01))
