"""Adversarial smoothing: what lies between codes is decoded to images that a critic takes for real."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.regularisers.base import REGULARISERS, Coded, Networks, Regulariser
from priors.base import Batch, Host, OptimiserSettings, Player, Prior
from priors.parts.networks import data_critic
from priors.parts.penalties import interpolate, wgan_gp
from priors.space import Float

BETAS = (0.5, 0.9)


@REGULARISERS.register("smoothing")
class Smoothing(Regulariser):
    """FlexAE-SR: decoded interpolations of codes pass for data before a Wasserstein critic (eq. 9 and 10).

    x_inp = G(a z_j + (1 - a) z_k), a ~ U[0, 1], z the batch's codes. The critic C descends
    E C(x_inp) - E C(x) + 10 E(||grad C|| - 1)^2; in a turn after it encoder and decoder descend -E C(x_inp), by an Adam
    of its own. To the model's own loss nothing is added: the learning rates weigh the two. The x of the critic are the
    images before any binarisation, as x_inp is grey too; those of the codes are the encoder's own.

    channels, width: the critic's convolutions and dense layer (for vectors, two dense layers of `width`).
    lr: of the encoder and decoder in their turn. critic_lr, critic_turns: the critic's rate, and turns a step.
    """

    space = {"lr": Float(1e-5, 1e-3, log=True)}

    def __init__(
        self,
        host: Host,
        *,
        lr: float = 2e-4,
        channels: tuple[int, ...] = (64, 128),
        width: int = 1024,
        critic_lr: float = 2e-4,
        critic_turns: int = 5,
    ):
        super().__init__()
        if min(lr, critic_lr) <= 0 or critic_turns < 1:
            raise ValueError(f"smoothing needs lr, critic_lr > 0 and turns >= 1, not {lr}, {critic_lr}, {critic_turns}")
        if not channels or min(*channels, width) < 1:
            raise ValueError(f"smoothing needs one or more channels and sizes >= 1, not {channels} and {width}")
        if len(host.data_shape) == 3 and min(host.data_shape[1:]) < 2 ** len(channels):
            raise ValueError(f"smoothing halves images for each of channels {channels}: {host.data_shape} is too small")
        self.critic = data_critic(host.data_shape, channels, width)
        self.encode, self.decode = host.encode, host.decode
        self.lr, self.critic_lr, self.critic_turns = lr, critic_lr, critic_turns

    def term(self, coded: Coded) -> Tensor:
        """Zero: all is in the players."""
        return coded.z.new_zeros(())

    def players(self, networks: Networks, prior: Prior) -> Sequence[Player]:
        """The critic of images, then encoder and decoder against it."""
        critic = tuple(self.critic.parameters())
        settings, own = OptimiserSettings(self.critic_lr, BETAS), OptimiserSettings(self.lr, BETAS)
        return (
            Player("image-critic", critic, self.criticise, settings, turns=self.critic_turns),
            Player("smoothing", (*networks.encoder, *networks.decoder), self.smooth, own),
        )

    def criticise(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The critic's loss (eq. 9), a scalar without a gradient to the autoencoder, and its part."""
        with torch.no_grad():
            between = self.between(batch.x)
        gap = self.critic(batch.original).mean() - self.critic(between).mean()
        return wgan_gp(self.critic, batch.original, between) - gap, {"gap": gap.detach()}

    def smooth(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of encoder and decoder (eq. 10), a scalar, and no parts."""
        return -self.critic(self.between(batch.x)).mean(), {}

    def between(self, x: Tensor) -> Tensor:
        """x_inp: every code of the batch mixed with that of another image, decoded, (B, *data_shape)."""
        z = self.encode(x).rsample()
        return self.decode(interpolate(z, z[torch.randperm(len(z), device=z.device)]))
