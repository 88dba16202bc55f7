"""Regularisers against closed forms, against torch.distributions, and as players of a step."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from models.regularisers import REGULARISERS
from models.regularisers.base import Coded, Networks, Regulariser
from models.regularisers.beta import Beta
from models.regularisers.capacity import Capacity
from models.regularisers.factor import Factor, permute
from models.regularisers.info import Info
from models.regularisers.l2 import L2
from models.regularisers.smoothing import Smoothing
from models.regularisers.total_correlation import TC, decompose, log_aggregate
from priors.base import Batch, Density, Host, Unsupported
from priors.parts.fitting import play
from priors.parts.normal import DiagonalNormal
from priors.space import Choice
from priors.testing import toy_host

SMALL: dict[str, dict[str, Any]] = {"factor": {"widths": (16, 16)}, "smoothing": {"width": 16}}
NAMES = ("beta", "capacity", "tc", "factor", "info", "l2", "smoothing")
WEIGH_KL = ("beta", "capacity", "tc", "info")


class Shifted(Density):
    """N(mean, I) with a learned mean."""

    reparameterised = True

    def __init__(self, mean: float, latent_dim: int = 2):
        super().__init__()
        self.mean = nn.Parameter(torch.full((latent_dim,), mean))

    def rsample(self, n: int) -> Tensor:
        return self.mean + torch.randn(n, len(self.mean), dtype=self.mean.dtype)

    def sample(self, n: int) -> Tensor:
        with torch.no_grad():
            return self.rsample(n)

    def log_prob(self, z: Tensor) -> Tensor:
        return Independent(Normal(self.mean, torch.ones_like(self.mean)), 1).log_prob(z)


def networks(host: Host) -> Networks:
    toy = host.autoencoder
    return Networks(tuple(toy.encoder.parameters()), tuple(toy.decoder.parameters()))


def code(host: Host, prior: Density, size: int, step: int = 0) -> Coded:
    batch = Batch(host.examples(size), step=step)
    q = host.encode(batch.x)
    z = q.rsample()
    return Coded(batch, q, z, prior.divergence(batch, q, z).mean(), prior, networks(host))


def small(name: str, host: Host, **settings: Any) -> Regulariser:
    return REGULARISERS[name](host, **SMALL.get(name, {}), **settings)


# --- laws of all


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_step(name: str, dtype: torch.dtype, size: int) -> None:
    """Term and players are finite scalars of the codes' type, with finite gradients, for any size of the batch."""
    host, prior = toy_host(dtype=dtype), Shifted(0.5).to(dtype)
    regulariser = small(name, host).to(dtype)
    coded = code(host, prior, size)
    term = regulariser.term(coded)
    assert (term.shape, term.dtype) == ((), dtype)
    wanted = (*coded.networks.encoder, prior.mean)
    gradients = torch.autograd.grad(coded.kl + term, wanted)
    assert all(gradient.isfinite().all() for gradient in (term, *gradients))
    for player in regulariser.players(coded.networks, prior):
        loss, parts = player.loss(coded.batch)
        gradients = torch.autograd.grad(loss, player.parameters)
        assert all(value.shape == () and not value.requires_grad for value in parts.values())
        assert all(value.isfinite().all() for value in (loss, *parts.values(), *gradients))


@pytest.mark.parametrize("name", NAMES)
def test_space_is_of_settings(name: str) -> None:
    """Both ends of every range build."""
    for key, values in REGULARISERS[name].space.items():
        ends = values.values if isinstance(values, Choice) else (values.low, values.high)
        for end in ends:
            small(name, toy_host(), **{key: end})


@pytest.mark.parametrize("name", NAMES)
def test_without_a_kl(name: str) -> None:
    host, prior = toy_host(), Shifted(0.0)
    coded = replace(code(host, prior, 5), kl=None)
    if name in WEIGH_KL:
        with pytest.raises(Unsupported, match="KL"):
            small(name, host).term(coded)
    else:
        small(name, host).term(coded)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("beta", {"beta": -1.0}),
        ("capacity", {"gamma": -1.0}),
        ("capacity", {"capacity": -1.0}),
        ("capacity", {"steps": 0}),
        ("tc", {"alpha": -0.1}),
        ("tc", {"beta": -0.1}),
        ("tc", {"gamma": -0.1}),
        ("factor", {"gamma": -1.0}),
        ("factor", {"lr": 0.0}),
        ("factor", {"widths": (10, 0)}),
        ("info", {"alpha": 1.5}),
        ("info", {"alpha": 0.5, "weight": 0.2}),
        ("l2", {"weight": -1.0}),
        ("l2", {"decoder_weight": -1.0}),
        ("smoothing", {"lr": 0.0}),
        ("smoothing", {"critic_lr": 0.0}),
        ("smoothing", {"critic_turns": 0}),
        ("smoothing", {"channels": ()}),
        ("smoothing", {"width": 0}),
    ],
)
def test_impossible_settings(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{name} needs"):
        REGULARISERS[name](toy_host(), **settings)


# --- beta and capacity


def test_beta_scales_the_gradient_of_the_kl() -> None:
    host, prior = toy_host(), Shifted(0.5)
    coded = code(host, prior, 9)
    wanted = (*coded.networks.encoder, prior.mean)
    plain = torch.autograd.grad(coded.kl, wanted, retain_graph=True)
    weighed = torch.autograd.grad(coded.kl + Beta(host, beta=5.0).term(coded), wanted)
    torch.testing.assert_close(weighed, tuple(5 * gradient for gradient in plain))


@pytest.mark.parametrize("regulariser", [Beta(toy_host(), beta=1.0), TC(toy_host(), alpha=1.0, beta=1.0, gamma=1.0)])
def test_unit_weights_add_nothing(regulariser: Regulariser) -> None:
    assert regulariser.term(code(toy_host(), Shifted(0.5), 9)) == 0


@pytest.mark.parametrize(("step", "target"), [(0, 0.0), (250, 5.0), (500, 10.0), (1000, 20.0), (5000, 20.0)])
def test_capacity_rises(step: int, target: float) -> None:
    host = toy_host()
    coded = replace(code(host, Shifted(0.5), 9, step), kl=torch.tensor(8.0))
    term = Capacity(host, gamma=3.0, capacity=20.0, steps=1000).term(coded)
    assert term.item() == pytest.approx(3 * abs(8 - target) - 8)


# --- total correlation


CORRELATED = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
CORRELATION = -0.5 * math.log(1 - 0.8**2)
"""TC of N(0, CORRELATED), in nats."""


def gaussian_codes(n: int, variance: float) -> DiagonalNormal:
    """n posteriors of the given variance whose law as a whole is N(0, CORRELATED)."""
    mean = MultivariateNormal(torch.zeros(2).double(), CORRELATED - variance * torch.eye(2)).sample((n,))
    return DiagonalNormal(mean, torch.full_like(mean, math.log(variance)))


@pytest.mark.long
def test_stratified_estimate_meets_the_closed_form() -> None:
    """B = 1500 of a million: the logarithm's bias is 0.01 nats at most; the rest is noise of the draws."""
    variance = 0.1
    q = gaussian_codes(1500, variance)
    z = q.sample()
    joint, product = log_aggregate(q, z, 1_000_000, "stratified")
    law = MultivariateNormal(torch.zeros(2).double(), CORRELATED)
    torch.testing.assert_close(joint.mean(), law.log_prob(z).mean(), rtol=0, atol=0.02)
    torch.testing.assert_close(product.mean(), Normal(0, 1).log_prob(z).sum(-1).mean(), rtol=0, atol=0.01)

    information, correlation = decompose(q, z, 1_000_000)
    exact = 0.5 * torch.logdet(CORRELATED).item() - math.log(variance)  # H(z) - H(z|x)
    for estimate, each, true in (
        (information, q.log_prob(z) - joint, exact),
        (correlation, joint - product, CORRELATION),
    ):
        assert estimate.item() == pytest.approx(true, abs=4 * each.std().item() / math.sqrt(1500) + 0.01)


def posteriors(n: int, d: int) -> DiagonalNormal:
    return DiagonalNormal(torch.randn(n, d).double(), 0.5 * torch.randn(n, d).double())


def mixture(q: DiagonalNormal, dimensions: slice = slice(None)) -> Distribution:
    """q(z) of all images, or of some dimensions, by torch."""
    components = Normal(q.mean[:, dimensions], q.variance[:, dimensions].sqrt())
    return MixtureSameFamily(Categorical(torch.ones(len(q.mean)).double()), Independent(components, 1))


def test_stratified_estimate_is_unbiased() -> None:
    """Over all batches of 3 of 6 images that hold the first, the mean estimate of q(z_1) is q(z_1)."""
    q = posteriors(6, 3)
    z = q.sample()
    batches = [[0, *others] for others in itertools.combinations(range(1, 6), 2)]
    estimates = [log_aggregate(q[batch], z[batch], 6, "stratified")[0][0].exp() for batch in batches]
    torch.testing.assert_close(torch.stack(estimates).mean(), mixture(q).log_prob(z[0]).exp())


def test_parts_of_the_kl_sum_up() -> None:
    """With all images in the batch every part is that of torch's mixtures, and they sum to the KL.

    The weights apply each to its own part.
    """
    q = posteriors(20, 3)
    z = q.sample()
    joint = mixture(q).log_prob(z)
    each = torch.stack([mixture(q, slice(d, d + 1)).log_prob(z[:, d : d + 1]) for d in range(3)], dim=1)
    information, correlation = decompose(q, z, 20)
    log_q = Independent(Normal(q.mean, q.variance.sqrt()), 1).log_prob(z)
    torch.testing.assert_close(information, (log_q - joint).mean())
    torch.testing.assert_close(correlation, (joint - each.sum(1)).mean())

    host, prior = toy_host(dtype=torch.float64, count=20), Shifted(0.0, 3).double()
    kl = (log_q - prior.log_prob(z)).mean()
    dimensions = (each - Normal(0, 1).log_prob(z)).sum(1).mean()
    torch.testing.assert_close(information + correlation + dimensions, kl)
    coded = Coded(Batch(z), q, z, kl, prior, networks(host))
    term = TC(host, alpha=3.0, beta=0.5, gamma=7.0).term(coded)
    torch.testing.assert_close(term, 2 * information - 0.5 * correlation + 6 * dimensions)


def test_weighted_estimate_is_the_batch_mixture_less_a_constant() -> None:
    q = posteriors(8, 2)
    z = q.sample()
    joint, product = log_aggregate(q, z, 1000, "weighted")
    each = sum(mixture(q, slice(d, d + 1)).log_prob(z[:, d : d + 1]) for d in range(2))
    torch.testing.assert_close(joint, mixture(q).log_prob(z) - math.log(1000))
    torch.testing.assert_close(product, each - 2 * math.log(1000))


def test_single_image_has_no_total_correlation() -> None:
    q = posteriors(1, 4)
    torch.testing.assert_close(decompose(q, q.sample(), 50), (torch.zeros(()).double(),) * 2)


def test_total_correlation_needs_normal_posteriors() -> None:
    host, prior = toy_host(), Shifted(0.0)
    coded = code(host, prior, 5)
    q = MultivariateNormal(coded.q.mean, torch.eye(2))
    with pytest.raises(Unsupported, match="MultivariateNormal"):
        TC(host).term(replace(coded, q=q))


# --- FactorVAE


NO_NETWORKS = Networks((), ())


def identity_host(latent_dim: int = 2, variance: float = 1e-6) -> Host:
    """Codes are the data themselves."""
    host = toy_host(latent_dim, latent_dim)
    return replace(host, encode=lambda x: DiagonalNormal(x, torch.full_like(x, math.log(variance))), decode=lambda z: z)


def test_permuted_codes_keep_their_marginals() -> None:
    z = torch.randn(200, 3) @ torch.randn(3, 3)
    shuffled = permute(z)
    torch.testing.assert_close(shuffled.sort(0).values, z.sort(0).values)
    rows = {tuple(row.tolist()) for row in z}
    assert sum(tuple(row.tolist()) in rows for row in shuffled) < 20


@pytest.mark.long
def test_discriminator_learns_the_total_correlation() -> None:
    host, prior = identity_host(), Shifted(0.0)
    factor = Factor(host, gamma=10.0, widths=(32, 32), lr=1e-3)
    law = MultivariateNormal(torch.zeros(2), CORRELATED.float())
    play(factor.players(NO_NETWORKS, prior), lambda: law.sample((1000,)), 800)
    z = law.sample((20_000,))
    with torch.no_grad():
        term = factor.term(Coded(Batch(z), host.encode(z), z, None, prior, NO_NETWORKS))
    assert term.item() == pytest.approx(10 * CORRELATION, abs=10 * 0.08)


def test_discriminator_loss_is_a_classifier_s() -> None:
    """Cross-entropy of two logits, codes labelled 0 and permuted codes 1, a batch of one being its own permutation."""
    host = identity_host()
    factor = Factor(host, widths=(8,))
    x = torch.randn(1, 2)
    loss, parts = factor.classify(Batch(x))
    logits = factor.discriminator(x).expand(2, 2)
    expected = nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-2)  # the code's own noise is 1e-3
    torch.testing.assert_close(parts["tc"], logits[0, 0] - logits[0, 1], rtol=0, atol=1e-2)


def test_discriminator_s_player_owns_it_alone() -> None:
    host, prior = toy_host(), Shifted(0.0)
    factor = Factor(host, widths=(16, 16))
    (player,) = factor.players(networks(host), prior)
    assert player.name == "tc-discriminator"
    assert set(player.parameters) == set(factor.parameters())
    assert (player.optimiser.lr, player.optimiser.betas) == (1e-4, (0.5, 0.9))
    loss, _ = player.loss(Batch(host.examples(9)))
    autoencoder = [*networks(host).encoder, *networks(host).decoder]
    assert all(gradient is None for gradient in torch.autograd.grad(loss, autoencoder, allow_unused=True))


def test_default_discriminator_is_the_paper_s() -> None:
    sizes = [layer.out_features for layer in Factor(toy_host()).discriminator if isinstance(layer, nn.Linear)]
    slopes = {layer.negative_slope for layer in Factor(toy_host()).discriminator if isinstance(layer, nn.LeakyReLU)}
    assert (sizes, slopes) == ([1000] * 5 + [2], {0.2})


# --- InfoVAE


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_info_meets_the_prior_s_draws(kernel: str) -> None:
    host = identity_host()
    info = Info(host, weight=10.0, kernel=kernel)
    z = torch.randn(1000, 2)
    near, far = (
        info.term(Coded(Batch(z), host.encode(z), z, torch.tensor(0.0), Shifted(mean), NO_NETWORKS)).item()
        for mean in (0.0, 4.0)
    )
    assert far > 3.0
    assert abs(near) < 0.03 * far


def test_info_is_weighed_as_in_the_paper() -> None:
    """Against scikit-learn's kernel of width D and draws that are known, and with the KL's share."""
    host, prior = identity_host(3), Shifted(1.0, 3)
    z, draws = torch.randn(10, 3), torch.randn(10, 3) + 1
    prior.rsample = lambda n: draws[:n]
    zz, dd, zd = (rbf_kernel(a.numpy(), b.numpy(), gamma=1 / 3**2) for a, b in ((z, z), (draws, draws), (z, draws)))
    discrepancy = (zz.sum() + dd.sum() - 20) / 90 - 2 * zd.mean()
    coded = Coded(Batch(z), host.encode(z), z, torch.tensor(3.0), prior, NO_NETWORKS)
    term = Info(host, alpha=0.25, weight=5.0).term(coded)
    assert term.item() == pytest.approx(4.25 * discrepancy - 0.25 * 3.0, abs=1e-5)


def test_info_teaches_a_prior_that_is_reparameterised() -> None:
    host, prior = identity_host(), Shifted(2.0)
    z = torch.randn(100, 2)
    coded = Coded(Batch(z), host.encode(z), z, torch.tensor(0.0), prior, NO_NETWORKS)
    (gradient,) = torch.autograd.grad(Info(host).term(coded), prior.mean)
    assert (gradient > 0).all()


# --- L2


def test_l2_by_hand() -> None:
    host = toy_host(dtype=torch.float64)
    coded = code(host, Shifted(0.0).double(), 6)
    codes = sum(value**2 for value in coded.z.flatten().tolist()) / 6
    theta = sum(value**2 for parameter in coded.networks.decoder for value in parameter.flatten().tolist())
    assert L2(host, weight=0.3, decoder_weight=0.02).term(coded).item() == pytest.approx(0.3 * codes + 0.02 * theta)


# --- smoothing


class LinearAutoencoder(nn.Module):
    """x (B, 3) -> z (B, 2) -> x, linear, the posterior as narrow as floating point."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(3, 2), nn.Linear(2, 3)

    def encode(self, x: Tensor) -> DiagonalNormal:
        mean = self.encoder(x)
        return DiagonalNormal(mean, torch.full_like(mean, -60.0))

    def host(self) -> Host:
        return replace(toy_host(2, 3), encode=self.encode, decode=self.decoder)

    def networks(self) -> Networks:
        return Networks(tuple(self.encoder.parameters()), tuple(self.decoder.parameters()))


def linear_smoothing() -> tuple[LinearAutoencoder, Smoothing, nn.Linear]:
    """A smoothing whose critic is linear, C(x) = w x."""
    autoencoder, critic = LinearAutoencoder(), nn.Linear(3, 1, bias=False)
    smoothing = Smoothing(autoencoder.host(), width=4)
    smoothing.critic = nn.Sequential(critic, nn.Flatten(0))
    return autoencoder, smoothing, critic


def test_smoothing_in_closed_form() -> None:
    """Images that are all the same have the same codes, so that their interpolations decode to the reconstruction."""
    autoencoder, smoothing, critic = linear_smoothing()
    encoder, decoder, w = autoencoder.encoder, autoencoder.decoder, critic.weight[0]
    x = torch.randn(1, 3).expand(8, 3)
    players = smoothing.players(autoencoder.networks(), Shifted(0.0))

    loss, parts = players[0].loss(Batch(x))
    gap = w @ (x[0] - decoder(encoder(x[0])))
    torch.testing.assert_close(parts["gap"], gap.detach())
    torch.testing.assert_close(loss, -gap + 10 * (w.norm() - 1) ** 2)

    loss, parts = players[1].loss(Batch(x))
    assert parts == {}
    torch.testing.assert_close(loss, -w @ decoder(encoder(x[0])))
    to_encoder, to_decoder = torch.autograd.grad(loss, (encoder.bias, decoder.bias))
    torch.testing.assert_close(to_encoder, -decoder.weight.T @ w)
    torch.testing.assert_close(to_decoder, -w)


def test_smoothing_s_critic_sees_no_binarised_image() -> None:
    """Data that are 0.5 throughout, drawn as 0 and 1 and decoded as 0.5, show the critic nothing but 0.5."""
    seen = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.square().sum(1)

    autoencoder = LinearAutoencoder()
    host = replace(autoencoder.host(), decode=lambda z: 0 * autoencoder.decoder(z) + 0.5)
    smoothing = Smoothing(host, width=4)
    smoothing.critic.forward = critic
    x = torch.rand(8, 3).round()
    for player in smoothing.players(autoencoder.networks(), Shifted(0.0)):
        player.loss(Batch(x, grey=torch.full_like(x, 0.5)))
    assert len(seen) == 4
    torch.testing.assert_close(torch.cat(seen), torch.full((32, 3), 0.5))


def test_interpolations_lie_between_codes() -> None:
    """On segments between two different codes, a uniform on [0, 1], not always at its ends."""
    host = identity_host(2, 1e-12)
    between = Smoothing(host, width=4).between(torch.tensor([[0.0, 0.0], [1.0, 2.0]]).repeat(500, 1))
    torch.testing.assert_close(between[:, 1], 2 * between[:, 0], rtol=0, atol=1e-4)
    inside = between[(between[:, 0] > 1e-4) & (between[:, 0] < 1 - 1e-4), 0]
    assert len(inside) == pytest.approx(500, abs=70)  # half of all pairs differ
    assert inside.mean().item() == pytest.approx(0.5, abs=0.06)
    assert inside.std().item() == pytest.approx(math.sqrt(1 / 12), abs=0.03)


def test_owners_and_order_of_smoothing() -> None:
    autoencoder, smoothing, critic = linear_smoothing()
    critics, smoother = smoothing.players(autoencoder.networks(), Shifted(0.0))
    assert [(p.name, p.turns, p.optimiser.lr, p.optimiser.betas) for p in (critics, smoother)] == [
        ("image-critic", 5, 2e-4, (0.5, 0.9)),
        ("smoothing", 1, 2e-4, (0.5, 0.9)),
    ]
    assert set(critics.parameters) == {critic.weight}
    assert set(smoother.parameters) == set(autoencoder.parameters())
    loss, _ = critics.loss(Batch(torch.randn(8, 3)))
    assert all(g is None for g in torch.autograd.grad(loss, smoother.parameters, allow_unused=True))


def test_each_player_plays_its_own_part() -> None:
    """The critic's steps widen the gap between data and interpolations; smoothing's raise the critic on the latter."""
    autoencoder = LinearAutoencoder()
    smoothing = Smoothing(autoencoder.host(), width=32, critic_lr=1e-2, lr=1e-2)
    x = torch.randn(64, 3) + 2
    critics, smoother = smoothing.players(autoencoder.networks(), Shifted(0.0))

    def gap() -> float:
        return critics.loss(Batch(x))[1]["gap"].item()

    before = gap()
    play([critics], lambda: x, 20)
    trained = gap()
    play([smoother], lambda: x, 20)
    assert trained > before + 0.5
    assert gap() < trained - 0.5


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 12)])
def test_smoothing_of_images(shape: tuple[int, ...]) -> None:
    decoder = nn.Sequential(nn.Linear(2, math.prod(shape)), nn.Unflatten(1, shape))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 4))
    host = replace(
        toy_host(), data_shape=shape, encode=lambda x: DiagonalNormal(*encoder(x).chunk(2, -1)), decode=decoder
    )
    smoothing = Smoothing(host, channels=(8, 16), width=64)
    halves = Networks(tuple(encoder.parameters()), tuple(decoder.parameters()))
    for player in smoothing.players(halves, Shifted(0.0)):
        loss, _ = player.loss(Batch(torch.rand(5, *shape)))
        gradients = torch.autograd.grad(loss, player.parameters)[:-1]  # a critic's last bias cancels in its gap
        assert all(g.isfinite().all() and g.abs().sum() > 0 for g in gradients)


def test_images_too_small_for_the_critic() -> None:
    with pytest.raises(ValueError, match="too small"):
        Smoothing(replace(toy_host(), data_shape=(1, 3, 8)))
