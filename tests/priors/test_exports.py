"""A plug-in needs `priors` alone: laws written with each name that it exports, and none of a part."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import priors
from priors import Density, Prior, registry
from priors.plugins import Added, load_plugin
from priors.registry import unchanged
from priors.testing import toy_codes, toy_host

PLUGINS = {
    "tilted": """
from torch import nn

from priors import Batch, Diagnostic, Energy, Float, Host, OptimiserSettings, Player, Unsupported
from priors import code_critic, log_standard_normal, register


@register("tilted")
class Tilted(Energy):
    \"\"\"N(0, I), tilted by a bounded network that a player trains.\"\"\"

    space = {"lr": Float(1e-4, 1e-2, log=True)}

    def __init__(self, host: Host, *, lr: float = 1e-3):
        if not host.stochastic:
            raise Unsupported("tilted needs posteriors with a density: use a VAE")
        super().__init__(host.latent_dim, draws=2000, particles=64)
        self.encode, self.lr = host.encode, lr
        self.critic = code_critic(host.latent_dim, (8,), nn.Tanh)

    def log_f(self, z):
        return log_standard_normal(z) + self.critic(z).tanh()

    def players(self):
        return (Player("tilt", tuple(self.parameters()), self.loss, OptimiserSettings(self.lr)),)

    def loss(self, batch: Batch):
        return -self.critic(self.encode(batch.x).sample()).mean(), {}

    def report(self):
        return (*super().report(), Diagnostic("rate", self.lr))
""",
    "own-flow": """
from zuko.transforms import MonotonicAffineTransform

from priors import Choice, Flow, Host, Int, Range, TransformKind, autoregressive_layers, bounded, register, univariate


@register("own-flow")
class OwnFlow(Flow):
    \"\"\"A flow whose affine steps are bounded or not.\"\"\"

    space: dict[str, Range] = {"layers": Int(1, 3), "transform": Choice(("affine", "spline"))}

    def __init__(self, host: Host, *, layers: int = 2, transform: TransformKind = "affine", tame: bool = True):
        kind = univariate(bounded if tame else MonotonicAffineTransform, transform)
        super().__init__(host.latent_dim, autoregressive_layers(host.latent_dim, layers, (16,), kind))
""",
    "some-posteriors": """
import torch

from priors import Codes, DiagonalNormal, Host, IndexedDistribution, NormalMixture, NormalMixtureDensity
from priors import mixture_of, normal_like, register


@register("some-posteriors")
class SomePosteriors(NormalMixtureDensity):
    \"\"\"The mixture of a few images' posteriors, two standard normals before it is fitted.\"\"\"

    def __init__(self, host: Host):
        super().__init__()
        for name in ("mean", "log_variance"):
            self.register_buffer(name, torch.zeros(2, host.latent_dim))

    def law(self) -> NormalMixture:
        return mixture_of(DiagonalNormal(self.mean, self.log_variance), "some-posteriors")

    def fit(self, codes: Codes):
        few: IndexedDistribution = codes.posterior[:2]
        self.mean, self.log_variance = few.mean, few.variance.log()

    def sample(self, n):
        return super().sample(n) + 0 * normal_like(self.mean, n)
""",
    "duel": """
import torch

from priors import Adversarial, DataCritic, Host, OptimiserSettings, PENALTIES, Player, code_critic, data_critic
from priors import interpolate, mlp, normal_like, register, wgan_gp


@register("duel")
class Duel(Adversarial, DataCritic):
    \"\"\"A generator that plays against a critic of codes and one of data.\"\"\"

    reparameterised = True

    def __init__(self, host: Host):
        super().__init__()
        self.host_encode, self.decode = host.encode, host.decode
        self.generator = mlp(host.latent_dim, (8,), host.latent_dim)
        self.critic = code_critic(host.latent_dim, (8,))
        self.image_critic = data_critic(host.data_shape, width=8)
        self.register_buffer("origin", torch.zeros(host.latent_dim))

    def rsample(self, n):
        return self.generator(normal_like(self.origin, n))

    @torch.no_grad()
    def sample(self, n):
        return self.rsample(n)

    def criticise(self, z):
        return self.critic(z)

    def criticise_data(self, x):
        return self.image_critic(x)

    def players(self):
        settings = OptimiserSettings(1e-4)
        return (
            Player("critic", tuple(self.critic.parameters()), self.of_codes, settings),
            Player("image-critic", tuple(self.image_critic.parameters()), self.of_data, settings),
            Player("generator", tuple(self.generator.parameters()), self.generate, settings),
        )

    def of_codes(self, batch):
        z = self.host_encode(batch.x).sample()
        fake = self.sample(len(z))
        return wgan_gp(self.critic, z, fake) + self.critic(fake).mean() - self.critic(z).mean(), {}

    def of_data(self, batch):
        fake = interpolate(batch.original, self.decode(self.sample(len(batch.x))).detach())
        penalty = PENALTIES["wgan-div-1"](self.image_critic, batch.original, fake)
        return penalty + self.image_critic(batch.original).mean() - self.image_critic(fake).mean(), {}

    def generate(self, batch):
        return -self.critic(self.rsample(len(batch.x))).mean(), {}
""",
    "walker": """
import torch
from torch import nn

from priors import Codes, Density, Host, LatentGAN, OptimiserSettings, PRIORS, Player, Prior, Scalar, density
from priors import hmc, log_mean_exp, make, mala, play, register, residual_critic, tune


@register("walker")
class Walker(Prior):
    \"\"\"Chains on the average of two laws of the project, from a GAN of the codes.\"\"\"

    def __init__(self, host: Host):
        super().__init__()
        names = [name for name in ("gaussian", "mixture") if name in PRIORS]
        self.laws = nn.ModuleList([density(make(name, host)) for name in names])
        self.gan = LatentGAN(host.latent_dim)
        self.scale = Scalar(nn.Linear(host.latent_dim, 1))
        residual_critic((1, 8, 8))

    def shared_parameters(self):
        return ()

    def log_f(self, z):
        return log_mean_exp(torch.stack([law.log_prob(z) for law in self.laws if isinstance(law, Density)]))

    def sample(self, n):
        z = self.gan.sample(n)
        size = tune(lambda z, a: mala(self.log_f, z, 1, a), z, target=0.57, rounds=3)
        z, _ = mala(self.log_f, z, 2, size)
        return hmc(self.log_f, z, 1, 0.1, leapfrog=2)[0]

    def fit(self, codes: Codes):
        self.gan.fit(codes.posterior, steps=1)
        player = Player("scale", tuple(self.scale.parameters()), self.loss, OptimiserSettings(lr=1e-3))
        play([player], codes.posterior.sample, steps=1)

    def loss(self, batch):
        return self.scale(batch.x).square().mean(), {}
""",
}


def exercise(prior: Prior) -> None:
    """Draws, a density where there is one, and every player's loss."""
    z = prior.sample(5)
    assert z.shape == (5, 2)
    assert z.isfinite().all()
    if isinstance(prior, Density):
        assert prior.log_prob(z).isfinite().all()
    for player in prior.players():
        loss, _ = player.loss(priors.Batch(torch.rand(4, 6)))
        assert any(one.abs().max() > 0 for one in torch.autograd.grad(loss, player.parameters))


@pytest.mark.parametrize("name", PLUGINS)
def test_a_law_written_with_what_is_exported_works(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "plugin.py"
    path.write_text(PLUGINS[name], encoding="utf-8")
    with unchanged():
        assert load_plugin(path) == (Added("prior", name),)
        host = toy_host()
        prior = registry.make(name, host)
        exercise(prior)
        prior.eval().fit(toy_codes(host))
        exercise(prior)
        assert all(isinstance(one, priors.Diagnostic) for one in prior.report())


def imported(source: str) -> Iterator[str]:
    """The names that a plug-in imports from `priors`; it may import no module below."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("priors.")
            yield from (alias.name for alias in node.names if node.module == "priors")


def test_these_laws_are_written_with_every_name_that_is_exported():
    assert {name for source in PLUGINS.values() for name in imported(source)} == set(priors.__all__)


def test_an_exported_name_is_no_module_of_the_package():
    """Importing a module would put it in the place of the name."""
    len(registry.PRIORS)
    folder = Path(priors.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & set(priors.__all__)
