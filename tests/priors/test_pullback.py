"""The pull-back prior: ln Z where it is known, the batch's estimate, the critic's two trainings, and sampling."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.backbones.gated import mlp
from models.likelihoods import GaussianFixed
from models.posteriors import NormalPosterior
from models.vae import VAE
from priors import registry
from priors.base import Batch, Codes, Host, Unsupported
from priors.parts.latent_gan import LatentGAN
from priors.parts.normal import DiagonalNormal, log_standard_normal
from priors.parts.penalties import PENALTIES
from priors.parts.residual import ResidualBlock, residual_critic
from priors.pullback import Pullback
from priors.testing import toy_codes, toy_host

TINY = {"width": 8, "gan_steps": 2, "mala_steps": 3}


class Function(nn.Module):
    """A critic that is given."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.forward = function


def half_square(x: Tensor) -> Tensor:
    return 0.5 * x.square().sum(-1)


def wavy(x: Tensor) -> Tensor:
    return 2 + (2 * x[:, 0]).sin() + 0.5 * x[:, 0] * x[:, 1]


def given(critic: Callable[[Tensor], Tensor], dim: int = 2, count: int = 50, **settings: object) -> Pullback:
    """A prior in float64 on a decoder that is the identity: f = N(0, I) exp(-beta critic(z))."""
    nothing = lambda n: None  # noqa: E731
    host = Host(dim, (dim,), count, False, True, lambda x: x, lambda z: z, examples=nothing, inputs=nothing)
    prior = registry.make("pullback", host, **(TINY | {"sampling": "resampling"} | settings)).double()
    prior.critic = Function(critic)
    return prior


def toy(dtype: torch.dtype = torch.float64, count: int = 50, **settings: object) -> tuple[Host, Pullback]:
    host = toy_host(dtype=dtype, count=count)
    return host, registry.make("pullback", host, **(TINY | settings)).to(dtype)


def codes(mean: Tensor, sd: float) -> Codes:
    return Codes(lambda: DiagonalNormal(mean, torch.full_like(mean, 2 * math.log(sd))))


def grid(step: float = 0.05, end: float = 9.0) -> tuple[Tensor, float]:
    """Points over [-end, end]^2, (n, 2), and the weight of each in the trapezoid rule for what vanishes at the edge."""
    axis = torch.arange(-end, end + step / 2, step, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis), step**2


# ln Z after training


@pytest.mark.long
def test_log_z_is_that_of_the_trapezoid_rule():
    host, prior = toy(count=5, draws=1_500_000, sampling="resampling")
    with torch.no_grad():
        for parameter in prior.critic.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        prior.critic.layers[-1][-1].bias -= 1.0
    prior.fit(toy_codes(host))
    points, cell = grid()
    with torch.no_grad():
        expected = prior.log_f(points).logsumexp(0).item() + math.log(cell)
        mass = prior.log_prob(points).exp().sum().item() * cell
    assert abs(expected) > 1  # far from 0, which log Z is before the fit
    assert prior.log_z_error < 3e-4
    assert prior.log_z.item() == pytest.approx(expected, abs=1e-3)
    assert mass == pytest.approx(1, abs=1e-3)


@pytest.mark.long
def test_defensive_mixture_is_right_where_the_papers_z_hat_is_nats_too_low():
    dim, count, beta = 12, 400, 1.0
    prior = given(half_square, dim, count, scale=2 * beta, draws=40_000)
    prior.fit(codes(torch.randn(count, dim, dtype=torch.float64) / math.sqrt(1 + beta), sd=0.1))
    exact = -dim / 2 * math.log(1 + beta)
    assert prior.log_prob_error < 0.02
    assert abs(prior.log_z.item() - exact) < 4 * prior.log_prob_error
    known = {one.name: one for one in prior.report()}
    assert known["beta"].value == pytest.approx(beta)
    assert (known["log_z"].value, known["log_z"].error) == (prior.log_z.item(), prior.log_z_error.item())
    z_hat = known["log_z_hat"]
    assert z_hat.value < exact - 3  # though its expectation is ln N + ln Z, 6 nats above, and it should be a bound
    assert z_hat.error < 1  # nor does its own error tell
    optimism = prior.conventions()["z-hat"]
    assert optimism == pytest.approx(prior.log_z.item() - z_hat.value)
    assert optimism > 3  # the paper's ln p is too high by this


def test_z_hat_has_the_expectation_n_z_where_posteriors_are_wide():
    beta, count = 1.0, 20
    prior = given(half_square, 2, count, scale=2 * beta, draws=200_000)
    prior.fit(codes(torch.zeros(count, 2, dtype=torch.float64), sd=1.0))
    expected = math.log(count) - math.log(1 + beta)
    assert prior.log_z_hat_error < 5e-3
    assert abs(prior.log_z_hat - expected) < 4 * prior.log_z_hat_error
    assert prior.conventions()["z-hat"] == pytest.approx(-math.log(count), abs=0.02)


def test_nothing_is_known_of_z_before_the_fit():
    _, prior = toy()
    assert prior.conventions() == {}
    assert [one.name for one in prior.report()] == ["beta"]
    assert prior.report()[0].value == pytest.approx(5.0)  # half of W


# ln Z of the batch, and the KL that it makes


def test_divergence_is_the_paper_s_with_its_own_estimate_of_z():
    prior = given(wavy, count=70, proposals=5, scale=2.0, normaliser="paper")
    q = DiagonalNormal(torch.randn(9, 2, dtype=torch.float64), torch.full((9, 2), -1.0, dtype=torch.float64))
    z = q.sample()
    torch.manual_seed(3)
    kl = prior.divergence(Batch(torch.zeros(9, 2)), q, z)
    torch.manual_seed(3)
    e = torch.randn(5, 2, dtype=torch.float64)
    f = (log_standard_normal(z) - wavy(z)).exp()
    z_b = 0.5 * ((-wavy(e)).exp().mean() + (70 * f / q.log_prob(z).exp()).mean())
    expected = q.log_prob(z) - f.log() + z_b.log()
    assert expected.mean() > 0
    torch.testing.assert_close(kl, expected, rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        assert prior.divergence(Batch(torch.zeros(9, 2)), q, z).isfinite().all()


@pytest.mark.parametrize("clipped", [True, False])
def test_mean_kl_below_zero_is_moved_to_zero_without_a_gradient(clipped):
    prior = given(half_square, count=1, scale=1.0, proposals=100, normaliser="paper")
    mean = torch.zeros(6, 2, dtype=torch.float64)
    q = DiagonalNormal(mean, torch.full_like(mean, 2 * math.log(3.0 if clipped else 0.3)))
    z = 0.1 * torch.randn(6, 2, dtype=torch.float64)
    kl = prior.divergence(Batch(torch.zeros(6, 2)), q, z)
    (gradient,) = torch.autograd.grad(kl.mean(), prior.s)
    assert kl.std() > 0
    if clipped:
        assert kl.mean().item() == pytest.approx(0, abs=1e-12)
        assert abs(gradient.item()) < 1e-12
    else:
        assert kl.mean() > 0
        assert abs(gradient.item()) > 1e-3


@pytest.mark.long
@pytest.mark.parametrize("normaliser", ["paper", "defensive", "chains"])
def test_gradient_in_beta_is_the_critic_s_mean_on_codes_minus_that_on_the_prior(normaliser):
    many = 4_000 if normaliser == "defensive" else 100_000  # its mixture has as many components
    prior = given(wavy, count=1, scale=2.0, proposals=many, normaliser=normaliser)
    log_variance = torch.full((many, 2), 0.4, dtype=torch.float64)
    q = DiagonalNormal(torch.ones_like(log_variance), log_variance)
    z = q.sample()
    (gradient,) = torch.autograd.grad(prior.divergence(Batch(torch.zeros(1)), q, z).mean(), prior.s)
    points, _ = grid()
    p = (log_standard_normal(points) - wavy(points)).softmax(0)
    on_prior = (p * wavy(points)).sum()
    d_beta_d_s = 2.0 * 0.5 * 0.5
    assert abs(wavy(z).mean() - on_prior) > 0.3
    torch.testing.assert_close(gradient / d_beta_d_s, wavy(z).mean() - on_prior, rtol=0, atol=8 / math.sqrt(many))


def test_log_z_falls_with_beta_at_the_rate_of_the_critic_s_mean():
    prior = given(wavy, scale=2.0)
    points, cell = grid()
    (gradient,) = torch.autograd.grad((prior.log_f(points).exp().sum() * cell).log(), prior.s)
    p = (log_standard_normal(points) - wavy(points)).softmax(0)
    torch.testing.assert_close(gradient, -0.5 * (p * wavy(points)).sum(), rtol=1e-6, atol=0)


def test_divergence_is_normalised_by_the_fitted_log_z_after_the_fit():
    host, prior = toy(sampling="resampling")
    prior.eval().fit(toy_codes(host))
    x = host.examples(8)
    q = host.encode(x)
    z = q.sample()
    torch.testing.assert_close(prior.divergence(Batch(x), q, z), q.log_prob(z) - prior.log_prob(z))


# Training


def test_combined_training_owns_the_critic_with_the_vae_and_penalises_it_by_w():
    host, prior = toy(scale=7.0)
    assert prior.players() == ()
    trained = {id(p) for p in (*prior.critic.parameters(), prior.s)}
    assert {id(p) for p in prior.shared_parameters()} == trained
    x = host.examples(8)
    torch.manual_seed(4)
    value = prior.penalty(Batch(x))
    torch.manual_seed(4)
    fake = host.decode(torch.randn(8, 2, dtype=torch.float64))
    torch.testing.assert_close(value, 7 * PENALTIES["wgan-div-1"](prior.critic, x, fake))
    value.backward()
    assert all(p.grad is None for p in host.autoencoder.parameters())


@pytest.mark.parametrize("penalty", PENALTIES)
def test_naive_training_gives_the_critic_to_its_player(penalty):
    host, prior = toy(training="naive", penalty=penalty, critic_lr=3e-4)
    (player,) = prior.players()
    assert [id(p) for p in player.parameters] == [id(p) for p in prior.critic.parameters()]
    assert [id(p) for p in prior.shared_parameters()] == [id(prior.s)]
    assert (player.turns, player.optimiser.lr, player.optimiser.betas) == (1, 3e-4, (0.5, 0.999))
    assert prior.penalty(Batch(host.examples(8))) is None
    x = host.examples(8)
    torch.manual_seed(4)
    loss, parts = player.loss(Batch(x))
    torch.manual_seed(4)
    fake = host.decode(torch.randn(8, 2, dtype=torch.float64))
    difference = prior.critic(x).mean() - prior.critic(fake).mean()
    torch.testing.assert_close(loss, difference + PENALTIES[penalty](prior.critic, x, fake))
    torch.testing.assert_close(parts["gap"] + parts["penalty"], loss.detach())
    torch.autograd.grad(loss, player.parameters)


@pytest.mark.parametrize("training", ["combined", "naive"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_critic_sees_no_binarised_image(training, penalty):
    """Data that are 0.5 throughout, drawn as 0 and 1 and decoded as 0.5, show the critic nothing but 0.5."""
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return half_square(x)

    prior = given(critic, training=training, penalty=penalty)
    prior.decode = lambda z: torch.full_like(z, 0.5)
    x = torch.rand(8, 2, dtype=torch.float64).round()
    batch = Batch(x, grey=torch.full_like(x, 0.5))
    if training == "combined":
        prior.penalty(batch)
    else:
        prior.critic_loss(batch)
    assert seen
    torch.testing.assert_close(torch.cat(seen), torch.full_like(torch.cat(seen), 0.5))


def ring(n: int) -> Tensor:
    """Points near a circle, where a decoder of N(0, I) rarely is, (n, 2)."""
    angle = 2 * math.pi * torch.rand(n)
    return 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.1 * torch.randn(n, 2)


@pytest.mark.long
@pytest.mark.parametrize(("training", "penalty"), [("combined", "wgan-div-1"), ("naive", "wgan-gp")])
def test_critic_is_low_on_data_after_training(training, penalty):
    x = ring(500)
    likelihood = GaussianFixed((2,), nn.Identity(), variance=0.05)
    model = VAE(mlp((2,), 4, 2, 1, (16,)), NormalPosterior(2), likelihood)
    host = model.host((2,), len(x), False, lambda n: x[:n], lambda index: x[index])
    prior = Pullback(host, training=training, penalty=penalty, width=32, proposals=64, sampling="gan", critic_lr=3e-3)
    players = model.players(prior)
    optimisers = [torch.optim.Adam(p.parameters, lr=3e-3, betas=p.optimiser.betas) for p in players]
    for _ in range(200):
        batch = Batch(x[torch.randint(len(x), (64,))])
        for player, adam in zip(players, optimisers, strict=True):
            loss, _ = player.loss(batch)
            adam.zero_grad()
            torch.autograd.backward(loss, inputs=player.parameters)
            adam.step()
    with torch.no_grad():
        real, fake = prior.critic(x), prior.pulled_back(torch.randn(2000, 2))
    error = math.hypot(real.std() / math.sqrt(len(real)), fake.std() / math.sqrt(len(fake)))
    assert fake.mean() - real.mean() > 4 * error
    assert model.validation_loss(x, prior).isfinite().all()


# Sampling


def test_mala_moves_the_gan_s_draws_toward_the_density():
    host, prior = toy(sampling="mala", mala_steps=40, mala_step=0.1, scale=20.0)
    assert prior.sample(3).shape == (3, 2)  # before the fit, too
    prior.fit(toy_codes(host))
    with torch.no_grad():
        prior.gan.mean += 3.0  # a start that is off
        start, end = prior.log_f(prior.gan.sample(300)), prior.log_f(prior.sample(300))
    assert end.mean() - start.mean() > 4 * math.hypot(end.std(), start.std()) / math.sqrt(300)
    known = {one.name: one.value for one in prior.report()}
    assert 0 < known["mcmc_acceptance"] < 1


def variation(prior: Pullback, n: int = 20_000) -> float:
    """Total variation between n draws and the density, over 16 x 16 cells of the plane."""
    edges = torch.linspace(-4, 4, 17, dtype=torch.float64)
    inner = torch.linspace(-4, 4, 161, dtype=torch.float64)[:-1] + 0.025
    points = torch.cartesian_prod(inner, inner)
    with torch.no_grad():
        share = prior.log_f(points).softmax(0).reshape(16, 10, 16, 10).sum((1, 3))
    counts, _ = torch.histogramdd(prior.sample(n), [edges, edges])
    return 0.5 * (counts / n - share).abs().sum().item()


@pytest.mark.long
def test_the_default_draws_are_of_the_density_and_the_paper_s_are_not():
    far = {}
    for sampling in ("mcmc", "resampling", "gan"):
        torch.manual_seed(5)
        host, prior = toy(scale=20.0, sampling=sampling, moves=20)
        prior.eval().fit(toy_codes(host))
        far[sampling] = variation(prior)
        assert ("GAN" in prior.sampler) == (sampling == "gan")
    assert far["mcmc"] < 0.06
    assert far["resampling"] < 0.06
    assert far["gan"] > 0.2


def test_gan_sampling_gives_the_gan_s_draws():
    host, prior = toy(sampling="gan")
    prior.fit(toy_codes(host))
    torch.manual_seed(1)
    z = prior.sample(5)
    torch.manual_seed(1)
    assert torch.equal(z, prior.gan.sample(5))


@pytest.mark.long
def test_latent_gan_learns_where_codes_lie_whatever_their_scale():
    side = torch.where(torch.rand(400, 1) < 0.5, -1.0, 1.0)
    unit = torch.cat([side, 0.05 * torch.randn(400, 1)], 1) + 0.05 * torch.randn(400, 2)
    gan, moved = LatentGAN(2), LatentGAN(2)
    moved.load_state_dict(gan.state_dict())
    for network, points in ((gan, unit), (moved, 100 + 30 * unit)):
        torch.manual_seed(2)
        network.fit(DiagonalNormal(points, torch.full_like(points, -30.0)), steps=20)
    torch.manual_seed(3)
    z = gan.sample(500)
    torch.manual_seed(3)
    torch.testing.assert_close((moved.sample(500) - 100) / 30, z, rtol=0, atol=0.02)


def test_the_gan_is_fitted_once_and_is_part_of_the_state():
    host, prior = toy(sampling="gan")
    before = {key: value.clone() for key, value in prior.gan.state_dict().items()}
    prior.fit(toy_codes(host))
    after = {key: value.clone() for key, value in prior.gan.state_dict().items()}
    assert any(not torch.equal(before[key], after[key]) for key in before if "weight" in key)
    loaded = registry.make("pullback", host, **TINY, sampling="gan").double()
    loaded.load_state_dict(prior.state_dict())
    loaded.fit(toy_codes(host))
    for key, value in loaded.gan.state_dict().items():
        assert torch.equal(value, after[key]), key
    assert not any(parameter.requires_grad for parameter in loaded.gan.parameters())


# Refusals


def test_deterministic_encoders_are_refused():
    with pytest.raises(Unsupported, match=r"pullback.*deterministic.*use a VAE"):
        registry.make("pullback", dataclasses.replace(toy_host(), stochastic=False))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale": 0.0}, r"scale > 0, not 0\.0"),
        ({"critic_lr": -1.0}, r"critic_lr > 0, not -1\.0"),
        ({"mala_step": 0.0}, r"mala_step > 0"),
        ({"proposals": 0}, r"proposals >= 1, not 0"),
        ({"mala_steps": 0}, r"mala_steps >= 1"),
        ({"gan_steps": -2}, r"gan_steps >= 1"),
        ({"width": 0}, r"width >= 1"),
        ({"channels": ()}, r"channels.*not \(\)"),
        ({"critic": "residual"}, r"residual critic needs images.*\(6,\)"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        registry.make("pullback", toy_host(), **settings)


# The residual critic


@pytest.mark.parametrize("side", [(28, 28), (8, 8), (7, 10)])
def test_residual_critic_takes_images_of_any_size(side):
    critic = residual_critic((3, *side), (4, 8, 8), 5)
    x = torch.rand(6, 3, *side)
    value = critic(x)
    assert value.shape == (6,)
    torch.testing.assert_close(critic(x[2:3]), value[2:3], rtol=1e-4, atol=1e-5)  # no statistics of the batch


def test_critics_of_images_are_trained_with_a_penalty():
    decode = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))
    host = dataclasses.replace(toy_host(), data_shape=(1, 8, 8), decode=decode)
    for critic in ("plain", "residual"):
        prior = registry.make("pullback", host, critic=critic, channels=(3, 4), **TINY)
        penalty = prior.penalty(Batch(torch.rand(5, 1, 8, 8)))
        gradients = torch.autograd.grad(penalty, [*prior.critic.parameters()][::2])
        assert all(gradient.isfinite().all() for gradient in gradients)
    assert [tuple(layer.weight.shape) for layer in prior.critic.layers[-2:]] == [(64, 64 * 2 * 2), (1, 64)]


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_residual_block_scales_by_its_stride(kernel, stride, transposed):
    block = ResidualBlock(2, 3, stride, kernel, transposed)
    out = block(torch.rand(4, 2, 7, 6)).shape
    if transposed:
        assert out == (4, 3, 7 * stride, 6 * stride)
    else:
        assert out == (4, 3, math.ceil(7 / stride), math.ceil(6 / stride))


def test_residual_block_is_the_identity_plus_a_change():
    block = ResidualBlock(3, 3)
    assert isinstance(block.shortcut, nn.Identity)
    assert block.shortcut is not ResidualBlock(3, 3, stride=2).shortcut
    x = torch.randn(2, 3, 5, 5)
    nn.init.zeros_(block.second.weight)
    nn.init.constant_(block.second.bias, 0.5)
    torch.testing.assert_close(block(x), x + 0.5)
    with pytest.raises(ValueError, match="odd kernel, not 4"):
        ResidualBlock(3, 3, kernel=4)
