"""P-GEN's losses by hand, its turns, and a short game against fixed codes."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from priors import registry
from priors.base import Batch, Host, OptimiserSettings, Unsupported, density
from priors.parts.fitting import play
from priors.parts.networks import Scalar
from priors.parts.normal import DiagonalNormal
from priors.pgen import PGen
from priors.testing import toy_host


def make(host: Host | None = None, **settings: object) -> PGen:
    return registry.make("pgen", host or toy_host(), **{"widths": (32, 32), **settings})


def fixed_codes() -> tuple[Host, Tensor, Tensor]:
    """A host whose x are codes, encoded by themselves; their mean and covariance are returned."""
    mean, scale = torch.tensor([3.0, -1.0]), torch.tensor([[0.5, 0.0], [0.8, 0.4]])
    host = dataclasses.replace(
        toy_host(),
        data_shape=(2,),
        encode=lambda x: DiagonalNormal(x, torch.full_like(x, -40.0)),
        examples=lambda n: mean + torch.randn(n, 2) @ scale.T,
    )
    return host, mean, scale @ scale.T


def test_losses_are_the_papers():
    host = toy_host()
    prior = make(host)
    prior.critic = Scalar(nn.Linear(2, 1))  # its gradient is its weight, everywhere
    weight = prior.critic.layers[0].weight.detach().squeeze(0)
    batch = Batch(host.examples(8))
    torch.manual_seed(1)
    z = host.encode(batch.x).sample()
    drawn = prior.generator(torch.randn(8, 2)).detach()
    gap = (weight * (z - drawn)).sum(1).mean()
    torch.manual_seed(1)
    loss, parts = prior.critic_loss(batch)
    torch.testing.assert_close(loss, 10 * (weight.norm() - 1).square() - gap)
    torch.testing.assert_close(parts["gap"], gap)
    assert not parts["gap"].requires_grad
    torch.manual_seed(1)
    drawn = prior.generator(torch.randn(8, 2))
    torch.manual_seed(1)
    loss, _ = prior.generator_loss(batch)
    torch.testing.assert_close(loss, -prior.criticise(drawn).mean())


def test_turns_are_the_papers():
    prior = make()
    critic, generator = prior.players()
    assert (critic.name, critic.turns, critic.optimiser) == ("latent-critic", 5, OptimiserSettings(1e-4, (0.0, 0.9)))
    assert (generator.name, generator.turns, generator.optimiser) == ("p-gen", 1, OptimiserSettings(2e-4, (0.0, 0.9)))
    assert set(critic.parameters) == set(prior.critic.parameters())
    assert set(generator.parameters) == set(prior.generator.parameters())
    assert prior.shared_parameters() == ()
    assert len([layer for layer in registry.make("pgen", toy_host()).generator if isinstance(layer, nn.Linear)]) == 5


@pytest.mark.parametrize("who", ["critic", "generator"])
def test_a_turn_has_gradients_of_its_own_network_and_none_of_the_encoder(who):
    host = toy_host()
    prior = make(host)
    player = prior.players()[["critic", "generator"].index(who)]
    loss, _ = player.loss(Batch(host.examples(8)))
    gradients = torch.autograd.grad(loss, player.parameters, retain_graph=True)
    if who == "generator":
        assert all(gradient.abs().max() > 0 for gradient in gradients)
    others = [*host.autoencoder.parameters(), *(prior.generator.parameters() if who == "critic" else ())]
    assert all(gradient is None for gradient in torch.autograd.grad(loss, others, allow_unused=True))


@pytest.mark.long
def test_critic_is_high_on_codes_after_its_turns():
    host, _, _ = fixed_codes()
    prior = make(host, critic_lr=1e-3)
    play(prior.players()[:1], lambda: host.examples(64), steps=40)
    with torch.no_grad():
        gap = prior.criticise(host.examples(500)).mean() - prior.criticise(prior.sample(500)).mean()
    apart = (host.examples(500).mean(0) - prior.sample(500).mean(0)).norm()
    assert apart > 2  # the distance of the means bounds Wasserstein-1 from below
    assert 0.5 * apart < gap < 1.5 * apart


@pytest.mark.long
def test_a_game_moves_the_draws_to_the_codes():
    host, mean, covariance = fixed_codes()
    prior = make(host, critic_lr=3e-3, generator_lr=1e-3)
    assert (prior.sample(2000).mean(0) - mean).norm() > 2
    play(prior.players(), lambda: host.examples(64), steps=250)
    draws = prior.sample(2000)
    assert (draws.mean(0) - mean).norm() < 0.3
    assert (draws.T.cov() - covariance).norm() < 0.4 * covariance.norm()


def test_draws_carry_the_generators_gradient_only_where_asked():
    prior = make(noise_dim=7)
    assert prior.generator[0].in_features == 7
    assert make().generator[0].in_features == 2
    torch.manual_seed(2)
    plain = prior.sample(5)
    torch.manual_seed(2)
    carrying = prior.rsample(5)
    assert torch.equal(plain, carrying.detach())
    assert not plain.requires_grad
    carrying.sum().backward()
    assert all(p.grad.abs().max() > 0 for p in prior.generator.parameters())


def test_it_has_no_density():
    with pytest.raises(Unsupported, match=r"PGen is known through its samples only.*'wae'"):
        density(make())


@pytest.mark.parametrize(
    "settings",
    [{"noise_dim": -1}, {"widths": ()}, {"generator_lr": 0.0}, {"critic_turns": 0}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"pgen needs {next(iter(settings))}"):
        make(**settings)


@pytest.mark.long
def test_gap_of_equal_laws_is_small():
    host, mean, covariance = fixed_codes()
    prior = make(host, critic_lr=1e-3)
    scale = torch.linalg.cholesky(covariance)
    prior.generator = nn.Sequential(nn.Linear(2, 2))  # the codes' own law
    with torch.no_grad():
        prior.generator[0].weight.copy_(scale)
        prior.generator[0].bias.copy_(mean)
    play(prior.players()[:1], lambda: host.examples(64), steps=40)
    gaps = torch.stack([prior.critic_loss(Batch(host.examples(500)))[1]["gap"] for _ in range(30)])
    assert gaps.mean().abs() < 4 * gaps.std() / math.sqrt(30) + 0.05
