"""Laws p(x|z), networks, and the VAE's objective, against torch.distributions, SciPy and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from models import registry
from models.backbones import BACKBONES
from models.base import Autoencoder
from models.likelihoods import GaussianFixed, Likelihood, Logistic, Observed
from models.posteriors import NormalPosterior
from priors import registry as prior_registry
from priors.base import Batch, Density, Prior, Unsupported
from priors.parts.gated import GatedLinear

SHAPE = (2, 3)
DRAWS = 20_000


def likelihood(name: str, shape: tuple[int, ...] = SHAPE, bounded: bool = True) -> Likelihood:
    """The likelihood at random weights in float64."""
    made = registry.make_likelihood(name, Observed(shape, bounded)).double()
    for parameter in made.parameters():
        nn.init.constant_(parameter, -0.7)
    return made


def decoder_output(law: Likelihood, *batch: int, spread: float = -3.0) -> Tensor:
    """Numbers as a decoder gives them, the second of each element (a log variance or scale) near `spread`."""
    out = torch.randn(*batch, law.outputs, *SHAPE, dtype=torch.float64)
    if law.outputs == 2:
        out[..., 1, :, :] = spread + 0.3 * out[..., 1, :, :]
    return out


def levels(*shape: int) -> Tensor:
    """Grey levels k/255."""
    return torch.randint(256, shape).double() / 255


# Likelihoods: a reference for each, (x, out) -> ln p(x|z), mean and variance


def bernoulli(x: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    p = 1 / (1 + np.exp(-out[:, 0]))
    logs = x * scipy.stats.bernoulli.logpmf(1, p) + (1 - x) * scipy.stats.bernoulli.logpmf(0, p)
    return logs, p, p * (1 - p)


def normal(variance: Callable[[np.ndarray], np.ndarray]) -> Callable:
    def reference(x: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        law = scipy.stats.norm(1 / (1 + np.exp(-out[:, 0])), np.sqrt(variance(out)))
        return law.logpdf(x), law.mean(), law.var()

    return reference


def logistic(x: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, scale = 1 / (1 + np.exp(-out[:, 0])), np.exp(out[:, 1])
    law = scipy.stats.logistic(mean, scale)
    lower = np.where(x == 0, -np.inf, x - 0.5 / 255)
    upper = np.where(x == 1, np.inf, x + 0.5 / 255)
    mass = np.where(x < mean, law.cdf(upper) - law.cdf(lower), law.sf(lower) - law.sf(upper))  # no 1 - 1 in a tail
    return np.log(mass), mean, scale**2 * np.pi**2 / 3 + 1 / (12 * 255**2)


REFERENCES = {
    "bernoulli": bernoulli,
    "gaussian": normal(lambda out: np.exp(out[:, 1])),
    "gaussian-scalar": normal(lambda out: np.full_like(out[:, 0], math.exp(-0.7))),
    "gaussian-fixed": normal(lambda out: np.full_like(out[:, 0], 0.5)),
    "logistic": logistic,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_log_prob_is_the_reference(name):
    law = likelihood(name)
    x, out = levels(9, *SHAPE), decoder_output(law, 9)
    x[0, 0], x[1, 0] = 0, 1
    expected = REFERENCES[name](x.numpy(), out.numpy())[0].reshape(9, -1).sum(1)
    torch.testing.assert_close(law.log_prob(x, out), torch.from_numpy(expected), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", REFERENCES)
def test_draws_have_the_mean_and_the_variance(name):
    law = likelihood(name)
    out = decoder_output(law, 1, spread=-4.5)
    out[:, 0] *= 0.5
    _, mean, variance = (torch.from_numpy(part)[0] for part in REFERENCES[name](np.zeros((1, *SHAPE)), out.numpy()))
    torch.testing.assert_close(law.mean(out)[0], mean)
    draws = law.sample(out.expand(DRAWS, *out.shape[1:]))
    assert draws.shape == (DRAWS, *SHAPE)
    for values, expected in ((draws, mean), ((draws - mean).square(), variance)):
        assert ((values.mean(0) - expected).abs() < 4 * values.std(0) / math.sqrt(DRAWS)).all()


@pytest.mark.parametrize("name", REFERENCES)
def test_draws_and_codes_broadcast(name):
    law = likelihood(name)
    x, out = levels(5, *SHAPE), decoder_output(law, 4, 5)
    value = law.log_prob(x, out)
    assert value.shape == (4, 5)
    assert law.mean(out).shape == law.sample(out).shape == (4, 5, *SHAPE)
    torch.testing.assert_close(value[2, 3], law.log_prob(x[3:4], out[2, 3:4])[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_likelihood_keeps_the_type(name, dtype):
    law = likelihood(name).to(dtype)
    out = decoder_output(law, 4).to(dtype)
    x = law.sample(out)
    assert x.dtype == law.mean(out).dtype == law.log_prob(x, out).dtype == dtype


@pytest.mark.parametrize("name", REFERENCES)
def test_unbounded_data_need_a_gaussian(name):
    if name.startswith("gaussian"):
        law = likelihood(name, bounded=False)
        out = decoder_output(law, 3)
        torch.testing.assert_close(law.mean(out), out[:, 0])
    else:
        with pytest.raises(ValueError, match=f"the {name} likelihood needs x in"):
            likelihood(name, bounded=False)


def test_fixed_variance_of_a_half_is_the_squared_error():
    law = GaussianFixed(SHAPE).double()
    x, out = levels(7, *SHAPE), decoder_output(law, 7)
    error = (x - out[:, 0].sigmoid()).square().sum((1, 2))
    torch.testing.assert_close(law.log_prob(x, out), -error - 3 * math.log(math.pi), atol=1e-6, rtol=0)
    assert list(law.parameters()) == []


def test_scalar_variance_is_learned():
    law = likelihood("gaussian-scalar")
    x, out = levels(50, *SHAPE), decoder_output(law, 50)
    best = (x - law.mean(out)).square().mean().log().item()
    nn.init.constant_(law.scalar, best)
    law.log_prob(x, out).mean().backward()
    assert law.scalar.grad.item() == pytest.approx(0, abs=1e-9)  # the closed-form maximum


# The discretised logistic


def bins(mean_logit: float, log_scale: float) -> Tensor:
    """ln p of the 256 grey levels of one element."""
    x = torch.arange(256, dtype=torch.float64)[:, None] / 255
    out = torch.tensor([mean_logit, log_scale], dtype=torch.float64).reshape(1, 2, 1).expand(256, 2, 1)
    return Logistic((1,)).log_prob(x, out)


@pytest.mark.parametrize("log_scale", [-20.0, -7.0, -4.0, -1.0, 3.0, 20.0])
@pytest.mark.parametrize("mean_logit", [-30.0, -4.6, 0.0, 0.3, 4.6, 30.0])
def test_logistic_bins_sum_to_one(mean_logit, log_scale):
    log_p = bins(mean_logit, log_scale)
    assert log_p.isfinite().all()
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-10)


def test_logistic_gives_uniform_levels_no_less_than_8_bits():
    log_scales = torch.linspace(-5, 2, 36)
    bits = [-bins(0.0, s.item()).mean().item() / math.log(2) for s in log_scales]
    assert min(bits) > 8  # Gibbs: no law codes uniform levels in less
    assert min(bits) < 8.3  # and the best of these is not far from it


@pytest.mark.parametrize(("mean_logit", "level"), [(4.6, 0), (4.6, 1), (4.6, 128), (-4.6, 255), (-4.6, 200), (30, 0)])
def test_logistic_keeps_its_gradient_in_far_tails(mean_logit, level):
    out = torch.tensor([mean_logit, -7.0]).reshape(1, 2, 1).requires_grad_()
    value = Logistic((1,)).log_prob(torch.tensor([[level / 255]]), out)
    value.backward()
    assert value.isfinite().all()
    assert out.grad.isfinite().all()
    if abs(mean_logit) < 10:  # beyond, the sigmoid of the mean is flat
        assert out.grad[0, 0].item() * (level / 255 - 0.5 - math.copysign(0.49, mean_logit)) > 0  # towards x
        assert out.grad[0, 1].item() > 0  # and a wider law


def test_logistic_moves_x_to_the_nearest_level():
    law = likelihood("logistic")
    x, out = levels(6, *SHAPE), decoder_output(law, 6)
    shifted = (x + 0.4 / 255 * (2 * torch.rand_like(x) - 1)).clamp(0, 1)
    torch.testing.assert_close(law.log_prob(shifted, out), law.log_prob(x, out))
    drawn = law.sample(out) * 255
    torch.testing.assert_close(drawn, drawn.round())


# Backbones


@pytest.mark.parametrize(
    ("backbone", "shape"),
    [
        ("mlp", (4,)),
        ("mlp", (1, 8, 8)),
        ("mlp", (3, 32, 32)),
        ("conv", (1, 8, 8)),
        ("conv", (3, 28, 28)),
        ("conv", (1, 28, 20)),
        ("conv", (3, 13, 9)),
        ("conv", (1, 13, 9)),
        ("conv", (3, 64, 64)),
        ("conv", (1, 1, 1)),
    ],
)
def test_backbone_shapes(backbone, shape):
    for widths in ((4,), (4, 6), (3, 4, 5)):
        networks = BACKBONES[backbone](shape, 7, 3, 2, widths)
        assert networks.encoder(torch.rand(5, *shape)).shape == (5, 7)
        assert networks.decoder(torch.randn(5, 3)).shape == (5, 2, *shape)


@pytest.mark.parametrize("backbone", ["mlp", "dense", "conv"])
def test_outputs_take_both_signs(backbone):
    networks = BACKBONES[backbone]((1, 8, 8), 7, 3, 2, (4, 6))
    for out in (networks.encoder(torch.rand(50, 1, 8, 8)), networks.decoder(torch.randn(50, 3))):
        assert (out < 0).any()
        assert (out > 0).any()


def test_mlp_mirrors_its_widths():
    networks = BACKBONES["mlp"]((6,), 4, 2, 1, (5, 3))
    sizes = [[layer.weight.shape[1] for layer in net.modules() if isinstance(layer, nn.Linear)] for net in networks]
    assert sizes == [[6, 5, 3], [2, 3, 5]]


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_mlp_without_widths_is_linear(side):
    network = getattr(BACKBONES["mlp"]((3,), 3, 3, 1, ()), side).double()
    a, b = torch.randn(2, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(network(a + b) + network(0 * a), network(a) + network(b))


def test_conv_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match=r"needs images.*\(784,\)"):
        BACKBONES["conv"]((784,), 4, 2, 1, (8,))
    with pytest.raises(ValueError, match="at least one width"):
        BACKBONES["conv"]((1, 8, 8), 4, 2, 1, ())


def test_gated_layer_is_its_formula():
    layer = GatedLinear(4, 3).double()
    nn.init.normal_(layer.linear.bias)
    (w, v), (b, c) = layer.linear.weight.chunk(2), layer.linear.bias.chunk(2)
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x), (x @ w.T + b) * torch.sigmoid(x @ v.T + c))
    bound = math.sqrt(6 / (400 + 300))  # Glorot, for each half by itself
    halves = GatedLinear(400, 300).linear.weight.detach().chunk(2)
    for half in halves:
        assert half.abs().max().item() == pytest.approx(bound, rel=0.01)


def test_posterior_clips_its_log_variance():
    posterior = NormalPosterior(2, (-3.0, 1.0))
    q = posterior(torch.tensor([[0.5, -0.5, -9.0, 9.0]]))
    assert posterior.outputs == 4
    assert (q.mean.tolist(), q.log_variance.tolist()) == ([[0.5, -0.5]], [[-3.0, 1.0]])


# The VAE


def vae(
    shape: tuple[int, ...] = (6,),
    backbone: str = "mlp",
    widths: tuple[int, ...] = (8,),
    likelihood: str = "bernoulli",
    dtype: torch.dtype = torch.float64,
) -> Autoencoder:
    return registry.make(
        shape,
        True,
        type="vae",
        backbone=backbone,
        widths=widths,
        latent_dim=3,
        posterior="normal",
        likelihood=likelihood,
    ).to(dtype)


def prior_of(name: str, model: Autoencoder, shape: tuple[int, ...] = (6,)) -> Prior:
    dtype = next(model.parameters()).dtype
    host = model.host(
        shape,
        50,
        True,
        examples=lambda n: torch.rand(n, *shape, dtype=dtype),
        inputs=lambda index: torch.rand(len(index), *shape, dtype=dtype),
    )
    small = {"components": 4, "channels": (4,), "width": 16}
    settings = prior_registry.settings_of(prior_registry.PRIORS[name])
    return prior_registry.make(name, host, **{key: small[key] for key in small if key in settings}).to(dtype)


PRIORS = [name for name, prior in prior_registry.PRIORS.items() if issubclass(prior, Density)]
"""Those that a VAE can be trained with."""

PLAIN = [name for name in PRIORS if prior_registry.PRIORS[name].divergence is Density.divergence]
"""Those whose divergence is the difference of the log densities, without draws of its own."""


@pytest.mark.parametrize("name", PLAIN)
def test_loss_is_reconstruction_plus_the_warmed_up_kl(name):
    model = vae()
    prior, x = prior_of(name, model), torch.rand(5, 6, dtype=torch.float64)
    torch.manual_seed(1)
    noise = torch.randn(5, 3, dtype=torch.float64)
    q = model.encode(x)
    z = q.mean + q.stddev * noise
    probability = model.decode(z)
    reconstruction = nn.functional.binary_cross_entropy(probability, x, reduction="sum") / 5
    kl = (Independent(Normal(q.mean, q.stddev), 1).log_prob(z) - prior.log_prob(z)).mean()
    for warm_up in (0.0, 0.3, 1.0):
        torch.manual_seed(1)
        loss, parts = model.loss(Batch(x, warm_up), prior)
        expected = reconstruction + warm_up * kl
        torch.testing.assert_close(loss, expected)
        weights = list(model.parameters())
        gradients = (torch.autograd.grad(value, weights, retain_graph=True) for value in (loss, expected))
        torch.testing.assert_close(*gradients)
        torch.testing.assert_close((parts["reconstruction"], parts["kl"]), (reconstruction, kl))
        assert not any(part.requires_grad for part in parts.values())
    torch.manual_seed(1)
    validation = model.validation_loss(x, prior)
    assert validation.shape == (5,)
    torch.testing.assert_close(validation.mean(), reconstruction + kl)


@pytest.mark.long
def test_average_of_the_one_sample_kl_is_the_closed_form():
    model = vae(widths=())
    prior, x = prior_of("gaussian", model), torch.rand(8, 6, dtype=torch.float64)
    with torch.no_grad():
        q = model.encode(x)
        rates = torch.stack([model.loss(Batch(x), prior)[1]["kl"] for _ in range(1000)])
    exact = kl_divergence(Normal(q.mean, q.stddev), Normal(torch.zeros_like(q.mean), 1.0)).sum(1).mean()
    assert abs(rates.mean() - exact) < 4 * rates.std() / math.sqrt(1000)


@pytest.mark.parametrize("name", PRIORS)
def test_one_player_owns_every_parameter_once(name):
    model = vae(likelihood="gaussian-scalar")
    prior = prior_of(name, model)
    first, *others = model.players(prior)
    assert first.name == "vae"
    assert [player.name for player in others] == [player.name for player in prior.players()]
    of_prior = [*prior.shared_parameters(), *(p for player in prior.players() for p in player.parameters)]
    owned = [*first.parameters, *(p for player in others for p in player.parameters)]
    assert sorted(map(id, owned)) == sorted(map(id, [*model.parameters(), *of_prior]))


def test_a_frozen_parameter_is_not_trained():
    model = vae()
    frozen = next(model.parameters()).requires_grad_(False)
    (player,) = model.players(prior_of("gaussian", model))
    assert id(frozen) not in map(id, player.parameters)


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize(("backbone", "shape"), [("mlp", (6,)), ("conv", (1, 5, 4))])
def test_player_descends_in_every_parameter_by_prior(name, backbone, shape):
    model = vae(shape, backbone)
    check_gradients(model, prior_of(name, model, shape), shape)


@pytest.mark.parametrize("name", REFERENCES)
def test_player_descends_in_every_parameter_by_likelihood(name):
    model = vae(likelihood=name)
    check_gradients(model, prior_of("mixture", model), (6,))


def check_gradients(model: Autoencoder, prior: Prior, shape: tuple[int, ...]) -> None:
    player = model.players(prior)[0]
    loss, _ = player.loss(Batch(levels(10, *shape)))
    for parameter, gradient in zip(player.parameters, torch.autograd.grad(loss, player.parameters), strict=True):
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0, parameter.shape


class OnlySamples(Prior):
    """A prior without a density."""

    def sample(self, n: int) -> Tensor:
        return torch.randn(n, 3)


def test_a_prior_without_density_is_refused():
    model, prior = vae(), OnlySamples()
    x = torch.rand(2, 6, dtype=torch.float64)
    for use in (lambda: model.players(prior), lambda: model.loss(Batch(x), prior)):
        with pytest.raises(Unsupported, match="OnlySamples is known through its samples only"):
            use()


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize(("backbone", "shape"), [("mlp", (6,)), ("conv", (1, 8, 8))])
def test_loss_in_bfloat16_is_near_the_one_in_float32(name, backbone, shape):
    model = vae(shape, backbone, dtype=torch.float32)
    prior, x = prior_of(name, model, shape), torch.rand(64, *shape)
    losses = []
    for enabled in (False, True):
        torch.manual_seed(2)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            loss, _ = model.loss(Batch(x), prior)
            out = model.parameters_of_x(model.encode(x).mean)
        assert out.dtype == torch.float32  # what logarithms are taken of
        losses.append(loss)
    assert losses[1].dtype == torch.float32
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.02)
    assert losses[1].item() != losses[0].item()  # or autocast had no effect
    gradients = torch.autograd.grad(losses[1], list(model.parameters()))
    assert all(g.isfinite().all() for g in gradients)


def test_model_maps_any_number_of_draws():
    model = vae((1, 4, 4), "conv")
    x, z = torch.rand(5, 1, 4, 4, dtype=torch.float64), torch.randn(7, 5, 3, dtype=torch.float64)
    value = model.log_likelihood(x, z)
    assert value.shape == (7, 5)
    assert model.decode(z).shape == (7, 5, 1, 4, 4)
    torch.testing.assert_close(value[6, 2], model.log_likelihood(x[2:3], z[6, 2:3])[0])


def test_all_images_are_encoded_in_chunks_as_in_one_go():
    model, x = vae(), torch.rand(7, 6, dtype=torch.float64)
    q, expected = model.encode_all(x, chunk=3), model.encode(x)
    torch.testing.assert_close((q.mean, q.variance), (expected.mean.detach(), expected.variance.detach()))
    assert not q.mean.requires_grad


def test_host_is_the_model_as_its_prior_sees_it():
    model = vae()
    host = model.host((6,), 50, True, lambda n: torch.zeros(n, 6), torch.zeros_like)
    x = torch.rand(4, 6, dtype=torch.float64)
    assert (host.latent_dim, host.data_shape, host.bounded, host.stochastic) == (3, (6,), True, True)
    assert torch.equal(host.encode(x).mean, model.encode(x).mean)
    z = torch.randn(4, 3, dtype=torch.float64)
    assert torch.equal(host.decode(z), model.decode(z))
