"""The latent energy-based prior: an energy that plays against its own short-run Langevin draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from priors.base import Batch, Host, OptimiserSettings, Player, Unsupported
from priors.parts.checks import above, at_least, layered
from priors.parts.energy import Energy
from priors.parts.importance import rows
from priors.parts.mcmc import langevin
from priors.parts.networks import code_critic
from priors.parts.normal import log_standard_normal
from priors.registry import register
from priors.space import Float, Int

BETAS = (0.5, 0.999)


@register("lebm")
class LEBM(Energy):
    """Standard normal tilted by a learned energy, p(z) = exp(-E(z)) N(z | 0, I) / Z, in nats (Pang et al. 2020).

    The energy's player descends the maximum likelihood's gradient,

        E_q E(z) - E_p E(z'),   z ~ q(z|x) of the batch, z' ~ p,

    with as many short-run draws in the place of z' ~ p: from z' ~ N(0, I), `langevin_steps` unadjusted steps

        z' <- z' - s^2 / 2 (grad E(z') + z') + s e,   e ~ N(0, I),   s = `langevin_size`,

    through which no gradient flows. The paper infers z by Langevin dynamics too; here a VAE's encoder does, which gets
    the gradient of E through z in its loss, as of any prior's density. The part "gap" is the loss, in nats.

    The short run does not draw from p: where p has far wells, chains are shared among them by where they started, and
    the last step blurs its ends by N(0, s^2 I), whatever the energy. Codes that are narrower somewhere are never met,
    and the energy steepens for as long as it is trained: `langevin_size` is to be below their spread. So the density is
    p's, with ln Z and its error (`Energy`), and draws are told apart by the setting

    sampling: "adjusted" draws from p: `moves` steps of MALA from resampled proposals or annealed particles.
        "short-run", the paper's, draws as the player does.
    widths: of the hidden layers of E, GELU. lr: of Adam, with betas .5 and .999.
    Raises Unsupported on a deterministic encoder, whose codes give no estimate of ln Z.
    """

    # The short run cannot hold a quick energy: at 1e-3 it ran away on digits, with ln Z of a million.
    space = {
        "lr": Float(1e-6, 2e-4, log=True),
        "langevin_steps": Int(10, 200, log=True),
        "langevin_size": Float(0.1, 0.5, log=True),
    }

    def __init__(
        self,
        host: Host,
        *,
        widths: tuple[int, ...] = (200, 200),
        lr: float = 2e-5,
        langevin_steps: int = 60,
        langevin_size: float = 0.4,
        sampling: Literal["adjusted", "short-run"] = "adjusted",
        draws: int = 20_000,
        oversample: int = 10,
        moves: int = 100,
        selection: Literal["normalised", "paper"] = "normalised",
    ):
        super().__init__(
            host.latent_dim,
            draws=draws,
            selection=selection,
            sampling="mcmc" if sampling == "adjusted" else "resampling",
            oversample=oversample,
            moves=moves,
        )
        layered("lebm", widths=widths)
        at_least("lebm", 1, langevin_steps=langevin_steps)
        above("lebm", 0, lr=lr, langevin_size=langevin_size)
        if not host.stochastic:
            raise Unsupported("lebm estimates Z from q(z|x), and this model's encoder is deterministic: use a VAE")
        self.short = sampling == "short-run"
        self.lr, self.langevin_steps, self.langevin_size = lr, langevin_steps, langevin_size
        self.network = code_critic(host.latent_dim, widths, nn.GELU)
        self.encode = host.encode

    def energy(self, z: Tensor) -> Tensor:
        """E(z) in nats, (..., D) -> (...)."""
        return self.network(z).to(z.dtype)

    def log_f(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) - self.energy(z)

    def players(self) -> tuple[Player, ...]:
        return (Player("energy", tuple(self.parameters()), self.loss, OptimiserSettings(self.lr, BETAS)),)

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """E_q E - E_p E, the second over short-run draws."""
        with torch.no_grad():
            z = self.encode(batch.x).sample()
        loss = self.energy(z).mean() - self.energy(self.short_run(len(z))).mean()
        return loss, {"gap": loss.detach()}

    def short_run(self, n: int) -> Tensor:
        """n ends of short runs from N(0, I), (n, D), without a gradient."""
        return langevin(self.log_f, self.normal(n), self.langevin_steps, self.langevin_size)

    @property
    def sampler(self) -> str:
        told = f"{self.langevin_steps} unadjusted Langevin steps of {self.langevin_size:g} from N(0, I)"
        return told if self.short else super().sampler

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        if not self.short:
            return super().sample(n)
        chunk = rows(self.particles)
        return torch.cat([self.short_run(len(part)) for part in torch.arange(n).split(chunk)])
