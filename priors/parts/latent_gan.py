"""A small generative adversarial network fitted to codes: where Langevin chains in the latent space start."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from priors.base import Batch, IndexedDistribution, OptimiserSettings, Player
from priors.parts.fitting import play
from priors.parts.networks import Scalar, mlp
from priors.parts.normal import normal_like
from priors.parts.penalties import Critic, wgan_gp

BATCH = 128
SETTINGS = OptimiserSettings(lr=1e-4, betas=(0.5, 0.999))
LeakyReLU = partial(nn.LeakyReLU, 0.2)


class LatentGAN(nn.Module):
    """WGAN-GP on codes, of VAEPP's sizes: a generator of 5 and a critic of 6 dense layers of 40, leaky ReLU.

    Layers are weight-normalised. The generator maps N(0, I) of D dimensions to codes. Both networks see codes
    standardised in every dimension, so that neither the codes' scale nor their place matters. The generator's weights
    are frozen but in `fit`: they are state, and nothing that an autoencoder trains. The critic is left behind.
    """

    fitted: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int):
        super().__init__()
        self.generator = weight_normalised(mlp(latent_dim, (40,) * 5, latent_dim, LeakyReLU)).requires_grad_(False)
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("scale", torch.ones(latent_dim))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, q: IndexedDistribution, steps: int) -> None:
        """Trains on codes z ~ q(z|x), batch (N,), for so many steps, of five turns of the critic and one of the
        generator; once. The law that it learns is the aggregated posterior's."""
        if self.fitted:
            return
        codes = q.sample()
        self.mean.copy_(codes.mean(0))
        self.scale.copy_(codes.std(0) + 1e-6)  # a dimension that no image uses stays finite

        def draw() -> Tensor:
            some = q[torch.randint(len(codes), (BATCH,), device=codes.device)]
            return (some.sample() - self.mean) / self.scale

        critic = Scalar(weight_normalised(mlp(codes.shape[1], (40,) * 6, 1, LeakyReLU))).to(self.mean)
        self.generator.requires_grad_(True)
        play(self.players(critic), draw, steps)
        self.generator.requires_grad_(False)
        self.fitted.fill_(True)

    def players(self, critic: Scalar) -> tuple[Player, Player]:
        """The critic, low on codes, and the generator, which descends it."""

        def descend(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            return critic(self.generated(len(batch.x))).mean(), {}

        def tell_apart(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            fake = self.generated(len(batch.x)).detach()
            return gap(critic, batch.x, fake) + wgan_gp(critic, batch.x, fake), {}

        return (
            Player("critic", tuple(critic.parameters()), tell_apart, SETTINGS, turns=5),
            Player("generator", tuple(self.generator.parameters()), descend, SETTINGS),
        )

    def generated(self, n: int) -> Tensor:
        """n draws of the generator, standardised codes (n, D)."""
        return self.generator(normal_like(self.mean, n))

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """n draws of the generator as codes, (n, D)."""
        return self.mean + self.scale * self.generated(n)


def gap(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """E D(real) - E D(fake), a scalar: what a critic that is low on real points descends, beside its penalty."""
    return critic(real).mean() - critic(fake).mean()


def weight_normalised(network: nn.Sequential) -> nn.Sequential:
    """The network with the length and the direction of every dense layer's weights apart (Salimans and Kingma 2016).

    Glorot initialised, biases 0: torch's own start loses the noise on its way through so many layers.
    """
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
            weight_norm(layer)
    return network
