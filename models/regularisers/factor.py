"""FactorVAE: the total correlation of the codes by a density ratio."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.regularisers.base import REGULARISERS, Coded, Networks, Regulariser
from priors.base import Batch, Host, OptimiserSettings, Player, Prior
from priors.parts.networks import mlp
from priors.space import Float


@REGULARISERS.register("factor")
class Factor(Regulariser):
    """FactorVAE: gamma times the total correlation, by a discriminator of the codes (Kim and Mnih 2018).

    A discriminator with logits l tells codes from codes with every dimension permuted over the batch, a draw of
    prod_d q(z_d). At its best l_joint - l_permuted = ln q(z) / prod_d q(z_d), whose mean over codes is the total
    correlation in nats; gamma times this mean is added. The discriminator is trained by its own player alone.

    gamma: beside a loss per image. dpVAE's 1000 stands beside sums over a batch of 24: 1000/24 here.
    widths: the discriminator's layers, leaky ReLU of slope 0.2. lr: its learning rate.
    """

    space = {"gamma": Float(1.0, 100.0, log=True)}

    def __init__(
        self,
        host: Host,
        *,
        gamma: float = 10.0,
        widths: tuple[int, ...] = (1000, 1000, 1000, 1000, 1000),
        lr: float = 1e-4,
    ):
        super().__init__()
        if gamma < 0 or lr <= 0 or min(widths, default=1) < 1:
            raise ValueError(f"factor needs gamma >= 0, lr > 0 and widths >= 1, not {gamma}, {lr} and {widths}")
        self.discriminator = mlp(host.latent_dim, widths, 2, partial(nn.LeakyReLU, 0.2))
        self.encode, self.gamma, self.lr = host.encode, gamma, lr

    def log_ratio(self, z: Tensor) -> Tensor:
        """l_joint - l_permuted, (B, D) -> (B,)."""
        joint, permuted = self.discriminator(z).to(z.dtype).unbind(-1)
        return joint - permuted

    def term(self, coded: Coded) -> Tensor:
        return self.gamma * self.log_ratio(coded.z).mean()

    def players(self, networks: Networks, prior: Prior) -> Sequence[Player]:
        settings = OptimiserSettings(lr=self.lr, betas=(0.5, 0.9))
        return (Player("tc-discriminator", tuple(self.discriminator.parameters()), self.classify, settings),)

    def classify(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of codes against permuted codes, and the total correlation that it stands for."""
        with torch.no_grad():
            z = self.encode(batch.x).sample()
        codes, permuted = self.log_ratio(z), self.log_ratio(permute(z))
        loss = (F.softplus(-codes).mean() + F.softplus(permuted).mean()) / 2
        return loss, {"tc": codes.mean().detach()}


def permute(z: Tensor) -> Tensor:
    """Every dimension of z (B, D) permuted over the batch on its own: draws of prod_d q(z_d)."""
    return z.gather(0, torch.rand_like(z).argsort(0))
