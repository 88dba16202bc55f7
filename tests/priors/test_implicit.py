"""The implicit optimal prior: what its player learns, what the encoder gets, and what is drawn."""

from __future__ import annotations

import dataclasses
import math
import re

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn import functional as F

from priors import make
from priors.base import Batch, Codes, Host, Unsupported
from priors.implicit import Implicit
from priors.parts import importance
from priors.parts.fitting import play
from priors.parts.normal import DiagonalNormal, NormalMixture, log_standard_normal
from priors.testing import toy_codes, toy_host


def build(host: Host | None = None, **settings: object) -> Implicit:
    """In float64, with a ratio that is far from 0."""
    prior = make("implicit", host or toy_host(dtype=torch.float64), **{"widths": (16,), **settings}).double()
    nn.init.normal_(prior.last.weight, std=0.7)
    nn.init.constant_(prior.last.bias, 2.0)
    return prior


# What the player learns

MEANS = torch.tensor([[1.5, 0.0], [-1.0, 1.0]], dtype=torch.float64)
LOG_VARIANCE = math.log(0.3)


def two_codes(x: Tensor) -> DiagonalNormal:
    """x -> one of two normals, by whether its first entry is above 1/2."""
    mean = torch.where(x[:, :1] > 0.5, MEANS[0], MEANS[1])
    return DiagonalNormal(mean, torch.full_like(mean, LOG_VARIANCE))


def log_aggregated(z: Tensor) -> Tensor:
    """ln of the aggregated posterior of `two_codes` over uniform x."""
    law = NormalMixture(MEANS, torch.full_like(MEANS, LOG_VARIANCE), torch.tensor([0.5, 0.5]).double().log())
    return law.log_prob(z)


@pytest.mark.long
def test_the_player_learns_the_log_density_ratio():
    host = dataclasses.replace(toy_host(), encode=two_codes)
    prior = make("implicit", host, widths=(32, 32), dropout=0.0, lr=3e-3, turns=1).double()
    x = torch.rand(1000, 6, dtype=torch.float64)
    z = torch.cat([two_codes(x).sample(), torch.randn(1000, 2, dtype=torch.float64)])
    z = z[z.norm(dim=1) < 2.5]  # where both laws have draws to learn from

    def misfit() -> float:
        with torch.no_grad():
            error = prior.log_ratio(z) - (log_aggregated(z) - log_standard_normal(z))
        return error.abs().mean().item()

    assert misfit() > 1
    play(prior.players(), lambda: torch.rand(400, 6, dtype=torch.float64), 600)
    assert misfit() < 0.35
    prior.fit(Codes(lambda: two_codes(x)))
    assert abs(prior.log_z.item()) < 0.2  # an exact ratio needs no ln Z


def test_the_players_loss_is_the_cross_entropy():
    prior = build(dropout=0.0)
    x = torch.rand(7, 6, dtype=torch.float64)
    (player,) = prior.players()
    torch.manual_seed(3)
    loss, parts = player.loss(Batch(x))
    torch.manual_seed(3)
    z1 = prior.encode(x).sample()
    t1, t0 = prior.log_ratio(z1), prior.log_ratio(torch.randn_like(z1))
    expected = F.binary_cross_entropy_with_logits(t1, torch.ones_like(t1))
    expected = expected + F.binary_cross_entropy_with_logits(t0, torch.zeros_like(t0))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(parts, {"density_ratio": expected.detach()})
    assert not parts["density_ratio"].requires_grad
    another, _ = player.loss(Batch(x))
    assert another.item() != loss.item()  # fresh draws every turn


def test_the_player_owns_all_and_leaves_the_encoder_alone():
    host = toy_host(dtype=torch.float64)
    prior = build(host, lr=0.02, turns=7)
    (player,) = prior.players()
    assert (player.name, player.optimiser.lr, player.turns) == ("density-ratio", 0.02, 7)
    assert set(map(id, player.parameters)) == set(map(id, prior.parameters()))
    assert prior.shared_parameters() == ()
    loss, _ = player.loss(Batch(torch.rand(7, 6, dtype=torch.float64)))
    toy = tuple(host.autoencoder.parameters())
    gradients = torch.autograd.grad(loss, (*player.parameters, *toy), allow_unused=True)
    own, encoders = gradients[: len(player.parameters)], gradients[len(player.parameters) :]
    assert all(gradient.abs().max() > 0 for gradient in own)
    assert all(gradient is None for gradient in encoders)


def test_dropout_acts_before_the_last_layer_and_in_the_players_loss_only():
    prior, z = build(dropout=0.5).train(), torch.randn(5, 2, dtype=torch.float64)
    assert torch.equal(prior.log_f(z), prior.log_f(z))
    assert torch.equal(prior.log_f(z), log_standard_normal(z) + prior.last(prior.hidden(z)).squeeze(-1))
    with torch.no_grad():
        draws = prior.log_ratio(z.expand(20_000, -1, -1), 0.5)
    variance = (prior.last.weight * prior.hidden(z)).detach().square().sum(-1)  # times dropout / (1 - dropout) = 1
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - prior.log_ratio(z)).abs() < 4 * error).all()
    torch.testing.assert_close(draws.var(0), variance, rtol=0.05, atol=0)
    x = torch.rand(7, 6, dtype=torch.float64)
    torch.manual_seed(0)
    dropped, _ = prior.loss(Batch(x))
    torch.manual_seed(0)
    prior.dropout = 0.0
    assert dropped.item() != prior.loss(Batch(x))[0].item()


def test_layers_start_as_glorots():
    prior = make("implicit", toy_host(latent_dim=40))
    layers = [layer for layer in (*prior.hidden, prior.last) if isinstance(layer, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == [(500, 40), (500, 500), (1, 500)]
    for layer in layers:
        bound = math.sqrt(6 / sum(layer.weight.shape))
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()


# What the VAE gets


def test_the_divergence_estimates_the_papers_kl():
    """Eq. 15: KL(q || N(0, I)) - E_q[T], and its gradient in q through z."""
    prior = build()
    mean, log_variance = (t.requires_grad_() for t in 0.5 * torch.randn(2, 3, 2, dtype=torch.float64))
    q, x = DiagonalNormal(mean, log_variance), torch.rand(3, 6)
    z = q.rsample((20_000,))
    one_by_one = prior.divergence(Batch(x), q, z)
    kl = kl_divergence(Normal(mean, q.stddev), Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(-1)
    exact = kl - prior.log_ratio(z).mean(0)
    error = (q.log_prob(z) - log_standard_normal(z)).std(0) / math.sqrt(len(z))
    assert ((one_by_one.mean(0) - exact).abs() < 4 * error).all()
    ours, theirs = (torch.autograd.grad(one.sum(), mean, retain_graph=True)[0] for one in (one_by_one.mean(0), exact))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.05)
    (without,) = torch.autograd.grad(kl.sum(), mean)
    assert (theirs - without).abs().max() > 0.3  # so that the gradient through T is seen


def test_the_papers_figure_is_the_normalised_one_plus_log_z():
    host = toy_host(dtype=torch.float64)
    prior, z = build(host), torch.randn(9, 2, dtype=torch.float64)
    assert prior.conventions() == {}
    prior.fit(toy_codes(host))
    assert abs(prior.log_z.item()) > 1
    assert list(prior.conventions()) == ["unnormalised"]
    unnormalised = log_standard_normal(z) + prior.log_ratio(z)
    torch.testing.assert_close(prior.log_prob(z) + prior.conventions()["unnormalised"], unnormalised)


def test_a_constant_in_the_ratio_changes_no_density():
    host, z = toy_host(dtype=torch.float64), torch.randn(9, 2, dtype=torch.float64)
    first, found = build(host, draws=1000), []
    for shift in (0.0, 5.0):
        prior = build(host, draws=1000)
        prior.load_state_dict(first.state_dict())
        nn.init.constant_(prior.last.bias, shift)
        torch.manual_seed(0)
        prior.fit(toy_codes(host))
        found.append((prior.log_prob(z), prior.conventions()["unnormalised"]))
    torch.testing.assert_close(found[0][0], found[1][0])
    assert found[1][1] - found[0][1] == pytest.approx(5)


# Draws


def moments_misfit(z: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """Largest distance of a moment of the rows from the expected one, in standard errors."""
    centred = z - mean
    pairs = [(z, mean), (centred[:, :, None] * centred[:, None], covariance)]
    return max(((f.mean(0) - e).abs() / f.std(0) * math.sqrt(len(z))).max().item() for f, e in pairs)


def moments_on_grid(prior: Implicit) -> tuple[Tensor, Tensor]:
    axis = torch.arange(-8, 8, 0.05, dtype=torch.float64)
    points = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        mass = prior.log_f(points).softmax(0)
    mean = mass @ points
    return mean, (mass[:, None] * (points - mean)).T @ (points - mean)


def moments_of_codes(host: Host) -> tuple[Tensor, Tensor]:
    """Of the aggregated posterior: the codes' mean, and their covariance plus the mean variance."""
    q = toy_codes(host).posterior
    mean = q.mean.mean(0)
    return mean, torch.cov(q.mean.T, correction=0) + q.variance.mean(0).diag()


@pytest.mark.long
@pytest.mark.parametrize("sampling", ["resampling", "mcmc", "ancestral"])
def test_draws_follow_the_density_or_for_ancestral_the_codes(sampling, monkeypatch):
    monkeypatch.setattr(importance, "ROWS", 999)
    host = toy_host(dtype=torch.float64)
    prior = build(host, sampling=sampling, oversample=20, moves=5)
    prior.fit(toy_codes(host))
    z = prior.sample(3000)
    assert (z.shape, z.requires_grad) == ((3000, 2), False)
    density, of_codes = moments_misfit(z, *moments_on_grid(prior)), moments_misfit(z, *moments_of_codes(host))
    near, far = (of_codes, density) if sampling == "ancestral" else (density, of_codes)
    assert near < 4
    assert far > 5


# Refusals


def test_deterministic_encoders_are_refused():
    with pytest.raises(Unsupported, match=r"implicit.*deterministic: use a VAE"):
        make("implicit", dataclasses.replace(toy_host(), stochastic=False))


@pytest.mark.parametrize(
    "settings", [{"widths": ()}, {"widths": (5, 0)}, {"dropout": 1.0}, {"dropout": -0.1}, {"turns": 0}, {"draws": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=rf"implicit needs .*{name}.*not {re.escape(str(value))}"):
        make("implicit", toy_host(), **settings)


def test_other_posteriors_will_do():
    """The density ratio needs draws of q(z|x) only, and ln Z its mean and variance."""

    def encode(x: Tensor) -> Independent:
        return Independent(Normal(x[:, :2], torch.full((len(x), 2), 0.5)), 1)

    prior = make("implicit", dataclasses.replace(toy_host(), encode=encode), widths=(8,))
    prior.loss(Batch(torch.rand(4, 6)))
    prior.fit(Codes(lambda: encode(torch.rand(50, 6))))
    assert prior.sample(3).shape == (3, 2)
