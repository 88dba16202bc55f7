"""Two levels of codes: the posterior q(z2|x) q(z1|x, z2), the prior p(z2) p(z1|z2), and a VAE of both."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from models import registry
from models.backbones import BACKBONES
from models.two_level import TwoLevelNormal, TwoLevelPosterior
from priors import registry as priors
from priors.base import Batch, Unsupported
from priors.parts.normal import log_standard_normal
from priors.parts.two_levels import top_of
from priors.testing import ToyHost, toy_codes, toy_host
from priors.two_level import TwoLevel

FLOAT = torch.float64


def made(latent_dim: int = 4, **settings: object) -> tuple[ToyHost, TwoLevel]:
    torch.manual_seed(0)
    host = toy_host(latent_dim, dtype=FLOAT)
    prior = priors.make("two-level", host, **settings).double()
    assert isinstance(prior, TwoLevel)
    return host, prior


def posterior(latent_dim: int) -> TwoLevelNormal:
    """q of three images, whose second level bends with the first."""
    torch.manual_seed(1)
    kind = TwoLevelPosterior(latent_dim, width=8).double()
    for weight in kind.parameters():
        torch.nn.init.normal_(weight, std=0.7)
    return kind(torch.randn(3, kind.outputs, dtype=FLOAT))


def by_hand(prior: TwoLevel, z: Tensor, log_top: Tensor) -> Tensor:
    half = z.shape[-1] // 2
    mean, log_variance = prior.network(z[:, half:]).chunk(2, -1)
    below = Independent(Normal(mean, (0.5 * log_variance.clamp(-12, 4)).exp()), 1)
    return log_top + below.log_prob(z[:, :half])


def test_density_is_the_tops_times_the_law_below():
    host, prior = made(settings={"components": 3})
    z = torch.randn(7, 4, dtype=FLOAT)
    q = host.encode(prior.top.pseudo_inputs.clamp(0, 1))
    parts = Normal(q.mean[:, 2:], (0.5 * q.log_variance[:, 2:]).exp()).log_prob(z[:, None, 2:]).sum(-1)
    expected = by_hand(prior, z, parts.logsumexp(1) - math.log(3))
    torch.testing.assert_close(prior.log_prob(z), expected)
    torch.testing.assert_close(prior.frozen()(z), expected)


def test_where_nothing_is_read_off_the_top_both_levels_are_one_normal():
    """With a standard normal on top and below, the prior and the loss of a VAE are those of the gaussian prior."""
    _, prior = made(top="gaussian")
    for weight in prior.network.parameters():
        torch.nn.init.zeros_(weight)
    z = torch.randn(9, 4, dtype=FLOAT)
    torch.testing.assert_close(prior.log_prob(z), log_standard_normal(z))
    parts = {"backbone": "mlp", "widths": (8,), "posterior": "normal", "likelihood": "bernoulli"}
    model = registry.make((6,), True, type="vae", latent_dim=4, **parts).double()
    host = model.host((6,), 50, True, lambda n: torch.rand(n, 6, dtype=FLOAT), lambda index: torch.rand(len(index), 6))
    losses = []
    for one in (prior, priors.make("gaussian", host).double()):
        torch.manual_seed(3)
        losses.append(model.loss(Batch(torch.linspace(0, 1, 30, dtype=FLOAT).view(5, 6)), one)[0])
    torch.testing.assert_close(*losses)


def test_odd_numbers_of_dimensions_leave_the_top_the_smaller_half():
    _, prior = made(5, top="gaussian")
    assert prior.top_dim == 2
    assert prior.sample(8).shape == (8, 5)


def test_the_posterior_is_normalised_and_draws_follow_it():
    q = posterior(2)[1:2]
    side = torch.linspace(-30, 30, 1201, dtype=FLOAT)
    grid = torch.cartesian_prod(side, side)
    mass = q.log_prob(grid[:, None]).exp() * (side[1] - side[0]) ** 2
    assert mass.sum().item() == pytest.approx(1, abs=1e-3)
    z = q.sample(torch.Size([100_000]))[:, 0]
    for power in (1, 2):
        exact = (mass * grid.pow(power)).sum(0)
        error = z.pow(power).std(0) / len(z) ** 0.5
        assert ((z.pow(power).mean(0) - exact).abs() < 5 * error + 1e-3).all()


def test_moments_are_those_of_draws():
    q = posterior(4)
    z = q.sample(torch.Size([100_000]))
    sd = q.variance.sqrt()
    assert ((z.mean(0) - q.mean).abs() < 0.1 * sd).all()
    torch.testing.assert_close(z.var(0), q.variance, rtol=0.25, atol=0)


def test_a_narrow_laws_variance_is_no_difference_of_large_squares():
    """In float32, of a standard deviation of e^-6 at 3 from the origin: what float64 gives."""
    torch.manual_seed(2)
    kind = TwoLevelPosterior(4, width=8)
    kind.joint[-1].bias.data[:2], kind.joint[-1].bias.data[2:] = 3.0, -12.0
    h = torch.randn(200, kind.outputs)
    h[:, 2:4] = -10.0
    found = kind(h).variance
    torch.testing.assert_close(found.double(), kind.double()(h.double()).variance, rtol=1e-3, atol=0)


def test_hes_initial_weights_are_the_posteriors_too():
    torch.manual_seed(0)
    parts = {"backbone": "hvae", "posterior": "two-level", "likelihood": "bernoulli", "initialisation": "he"}
    model = registry.make((6,), True, type="vae", latent_dim=80, widths=(300, 300), **parts)
    for layer in model.posterior.modules():
        if isinstance(layer, torch.nn.Linear):
            assert layer.weight.std().item() == pytest.approx((2 / layer.in_features) ** 0.5, rel=0.05)


def test_images_are_indexed_like_a_tensor():
    q = posterior(4)
    z = torch.randn(5, 3, 4, dtype=FLOAT)
    torch.testing.assert_close(q[1:].log_prob(z[:, 1:]), q.log_prob(z)[:, 1:])
    torch.testing.assert_close(q[1:].mean, q.mean[1:])


def test_the_divergence_is_that_of_both_levels():
    _, prior = made(top="gaussian")
    q = posterior(4)
    z = q.sample()
    torch.testing.assert_close(
        prior.divergence(Batch(torch.rand(3, 6)), q, z),
        q.log_prob(z) - by_hand(prior, z, log_standard_normal(z[:, 2:])),
    )
    assert top_of(q) is q.top


def test_what_the_top_needs_reaches_it():
    """An exemplar on top leaves an image's own code out, and is fitted to the codes of the top."""
    host, prior = made(top="exemplar", settings={"neighbours": 0, "exemplars": 500})
    index = torch.arange(5)
    x = host.inputs(index)
    q = host.encode(x)
    z = q.sample()
    with_own = prior.eval().divergence(Batch(x, index=index), q, z)
    assert (prior.train().divergence(Batch(x, index=index), q, z) != with_own).all()
    prior.eval().fit(toy_codes(host))
    assert prior.top.means.shape == (500, 2)
    _, tilted = made(top="implicit", settings={"widths": (8,)})
    assert [player.name for player in tilted.players()] == [player.name for player in tilted.top.players()]
    assert tilted.certainty == "estimate"


@pytest.mark.parametrize("top", ["flow-matching", "gmm", "ncp", "two-stage", "vampprior"])
def test_whatever_is_on_top_every_parameter_that_training_descends_has_a_gradient(top: str):
    """What is fitted to the codes afterwards takes no part in the model's loss."""
    data = torch.rand(50, 6)
    parts = {"backbone": "hvae", "widths": (8, 8), "posterior": "two-level", "likelihood": "bernoulli"}
    model = registry.make((6,), True, type="vae", latent_dim=4, **parts)
    host = model.host((6,), 50, True, lambda n: data[:n], lambda index: data[index])
    settings = {"components": 5} if top in ("gmm", "vampprior") else {}
    prior = priors.make("two-level", host, top=top, settings=settings)
    (player,) = model.players(prior)
    loss, _ = player.loss(Batch(data[:8]))
    gradients = torch.autograd.grad(loss, player.parameters)
    assert all(one.isfinite().all() for one in gradients)
    own = {id(one) for one in prior.network.parameters()}
    assert own <= {id(one) for one in player.parameters}


def test_what_cannot_be_is_refused():
    with pytest.raises(Unsupported, match="known through its samples only"):
        made(top="pgen")
    with pytest.raises(ValueError, match="Prior 'gaussian' has no setting 'components'"):
        made(top="gaussian", settings={"components": 3})
    with pytest.raises(ValueError, match="latent_dim >= 2"):
        made(1, top="gaussian")
    with pytest.raises(ValueError, match="needs a width at least"):
        BACKBONES["hvae"]((6,), 20, 4, 1, ())
    host = toy_host(4, dtype=FLOAT)
    odd = replace(host, encode=lambda x: Independent(Normal(x[:, :4], 1.0), 1))  # type: ignore[arg-type, return-value]
    with pytest.raises(Unsupported, match="use the posterior two-level"):
        priors.make("two-level", odd, top="exemplar")
