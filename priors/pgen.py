"""FlexAE's prior: a generator of codes, with its critic."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from priors.base import Adversarial, Batch, Host, OptimiserSettings, Player
from priors.parts.checks import at_least, layered
from priors.parts.networks import code_critic, mlp
from priors.parts.penalties import wgan_gp
from priors.registry import register
from priors.space import Float, Int

BETAS = (0.0, 0.9)


@register("pgen")
class PGen(Adversarial):
    """P-GEN: z = G(n), n ~ N(0, I), a generator that plays against a critic of codes (FlexAE, section 3.2).

    The latent critic C, near 1-Lipschitz, is high on codes z ~ q(z|x) and low on draws z' = G(n). In every step it
    descends, `critic_turns` times,

        E C(z') - E C(z) + 10 E(||grad C|| - 1)^2                                                    (eq. 6)

    at random interpolates of z and z', then G descends -E C(z') once (eq. 7). No gradient reaches the encoder: its own
    turn, +E C(z) (eq. 8), is the Wasserstein autoencoder's regulariser `prior-critic`. The part "gap" is
    E C(z) - E C(z'), the critic's estimate of the Wasserstein-1 distance, no nats.

    It is known through its samples only: it has no density.

    noise_dim: of n, the paper's m'; 0 for as many as the codes have, as in the paper's experiments.
    widths: of the hidden layers of both networks, ReLU.
    """

    space = {
        "generator_lr": Float(1e-5, 1e-3, log=True),
        "critic_lr": Float(1e-5, 1e-3, log=True),
        "critic_turns": Int(1, 10),
    }
    reparameterised = True

    def __init__(
        self,
        host: Host,
        *,
        noise_dim: int = 0,
        widths: tuple[int, ...] = (1024, 1024, 1024, 1024),
        generator_lr: float = 2e-4,
        critic_lr: float = 1e-4,
        critic_turns: int = 5,
    ):
        super().__init__()
        if noise_dim < 0:
            raise ValueError(f"pgen needs noise_dim >= 1, or 0 for the codes' dimension, not {noise_dim}")
        layered("pgen", widths=widths)
        if min(generator_lr, critic_lr) <= 0:
            raise ValueError(f"pgen needs generator_lr and critic_lr > 0, not {generator_lr} and {critic_lr}")
        at_least("pgen", 1, critic_turns=critic_turns)
        self.noise_dim, self.encode = noise_dim or host.latent_dim, host.encode
        self.generator_lr, self.critic_lr, self.critic_turns = generator_lr, critic_lr, critic_turns
        self.generator = mlp(self.noise_dim, widths, host.latent_dim)
        self.critic = code_critic(host.latent_dim, widths)

    def rsample(self, n: int) -> Tensor:
        weight = next(self.generator.parameters())
        noise = torch.randn(n, self.noise_dim, dtype=weight.dtype, device=weight.device)
        return self.generator(noise).to(noise.dtype)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        return self.rsample(n)

    def criticise(self, z: Tensor) -> Tensor:
        return self.critic(z).to(z.dtype)

    def players(self) -> tuple[Player, Player]:
        """The latent critic, then the generator."""
        critic, generator = tuple(self.critic.parameters()), tuple(self.generator.parameters())
        critic_settings = OptimiserSettings(self.critic_lr, BETAS)
        return (
            Player("latent-critic", critic, self.critic_loss, critic_settings, self.critic_turns),
            Player("p-gen", generator, self.generator_loss, OptimiserSettings(self.generator_lr, BETAS)),
        )

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Eq. 6, on as many draws as there are codes."""
        with torch.no_grad():
            z = self.encode(batch.x).sample()
        drawn = self.sample(len(z))
        gap = self.criticise(z).mean() - self.criticise(drawn).mean()
        return wgan_gp(self.criticise, z, drawn) - gap, {"gap": gap.detach()}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Eq. 7, on as many draws as there are images."""
        return -self.criticise(self.rsample(len(batch.x))).mean(), {}
