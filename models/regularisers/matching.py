"""Divergences between the codes and the prior, by samples of both: what makes an autoencoder a WAE."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from models.regularisers.base import REGULARISERS, Coded, Networks, Regulariser
from models.regularisers.mmd import imq, mmd2, rbf
from priors.base import Adversarial, Batch, Host, OptimiserSettings, Player, Prior, Unsupported
from priors.parts.networks import code_critic
from priors.parts.penalties import wgan_gp
from priors.space import Float


class Matching(Regulariser):
    """A divergence between q(z) and p(z), joined to the model's loss or descended in a turn of the encoder's own.

    weight: lambda of the joint loss. encoder_lr: 0 joins the loss; else the learning rate of the encoder's own turn,
    the last of this regulariser's: the rates then take the weight's place, as in FlexAE.
    """

    space = {"weight": Float(0.1, 100.0, log=True)}

    def __init__(self, host: Host, weight: float, encoder_lr: float, betas: tuple[float, float] = (0.9, 0.999)):
        super().__init__()
        if weight <= 0 or encoder_lr < 0:
            raise ValueError(f"a matching term needs weight > 0 and encoder_lr >= 0, not {weight} and {encoder_lr}")
        self.encode, self.weight, self.encoder_lr, self.betas = host.encode, weight, encoder_lr, betas

    @abstractmethod
    def divergence(self, z: Tensor, prior: Prior) -> Tensor:
        """The divergence as the encoder descends it, z (B, D) -> a scalar."""

    def adversaries(self, prior: Prior) -> Sequence[Player]:
        """The turns of the divergence's adversary."""
        return ()

    def term(self, coded: Coded) -> Tensor:
        """weight x divergence, or zero where it has a turn of its own."""
        return coded.z.new_zeros(()) if self.encoder_lr else self.weight * self.divergence(coded.z, coded.prior)

    def players(self, networks: Networks, prior: Prior) -> Sequence[Player]:
        """The adversary, then the encoder's own turn with all that the prior shares."""
        if not self.encoder_lr:
            return self.adversaries(prior)

        def loss(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            divergence = self.divergence(self.encode(batch.x).rsample(), prior)
            return divergence, {"divergence": divergence.detach()}

        settings = OptimiserSettings(lr=self.encoder_lr, betas=self.betas)
        match = Player("matching", (*networks.encoder, *prior.shared_parameters()), loss, settings)
        return (*self.adversaries(prior), match)

    def opponents(self, prior: Prior, batch: Batch) -> tuple[Tensor, Tensor]:
        """Codes of the batch and as many draws of the prior, both without a gradient, (B, D) each."""
        with torch.no_grad():
            z = self.encode(batch.x).sample()
            return z, prior.sample(len(z))


@REGULARISERS.register("mmd")
class MMD(Matching):
    """Maximum mean discrepancy to the prior's draws, unbiased: WAE-MMD (Tolstikhin et al. 2018, algorithm 2).

    kernel: "imq" is the sum of inverse multiquadratics c / (c + r^2), c = 2 D s^2 for seven s^2 about 1, as in WAE-MMD;
    "rbf" is exp(-r^2 / (2 D)).
    """

    def __init__(
        self, host: Host, *, weight: float = 10.0, encoder_lr: float = 0.0, kernel: Literal["imq", "rbf"] = "imq"
    ):
        super().__init__(host, weight, encoder_lr)
        self.kernel = imq(host.latent_dim) if kernel == "imq" else rbf(2.0 * host.latent_dim)

    def divergence(self, z: Tensor, prior: Prior) -> Tensor:
        return mmd2(z, prior.rsample(len(z)), self.kernel)


@REGULARISERS.register("gan")
class GAN(Matching):
    """A logistic adversary that tells codes from the prior's draws: WAE-GAN (Tolstikhin et al. 2018, algorithm 1).

    The adversary T is high on the prior's draws; the encoder's loss is the non-saturating one, -E ln sigmoid(T(z)).
    """

    def __init__(
        self,
        host: Host,
        *,
        weight: float = 10.0,
        encoder_lr: float = 0.0,
        widths: tuple[int, ...] = (512, 512, 512, 512),
        adversary_lr: float = 5e-4,
    ):
        super().__init__(host, weight, encoder_lr)
        self.adversary, self.adversary_lr = code_critic(host.latent_dim, widths), adversary_lr

    def divergence(self, z: Tensor, prior: Prior) -> Tensor:
        return F.softplus(-self.adversary(z)).mean()

    def adversaries(self, prior: Prior) -> Sequence[Player]:
        def loss(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            z, drawn = self.opponents(prior, batch)
            return F.softplus(-self.adversary(drawn)).mean() + F.softplus(self.adversary(z)).mean(), {}

        settings = OptimiserSettings(lr=self.adversary_lr, betas=(0.5, 0.999))
        return (Player("adversary", tuple(self.adversary.parameters()), loss, settings),)


@REGULARISERS.register("wgan")
class WGAN(Matching):
    """Wasserstein-1 distance to the prior's draws, by a critic with a gradient penalty (FlexAE, eq. 6 and 8).

    The critic is high on codes and low on the prior's draws; the encoder descends its mean. For a prior that is fixed:
    the counterpart of FlexAE, whose P-GEN brings a critic of its own (`prior-critic`).
    """

    def __init__(
        self,
        host: Host,
        *,
        weight: float = 10.0,
        encoder_lr: float = 1e-5,
        widths: tuple[int, ...] = (1024, 1024, 1024, 1024),
        critic_lr: float = 1e-4,
        critic_turns: int = 5,
    ):
        super().__init__(host, weight, encoder_lr, (0.0, 0.9))
        self.critic = code_critic(host.latent_dim, widths)
        self.critic_lr, self.critic_turns = critic_lr, critic_turns

    def divergence(self, z: Tensor, prior: Prior) -> Tensor:
        return self.critic(z).mean()

    def adversaries(self, prior: Prior) -> Sequence[Player]:
        def loss(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            z, drawn = self.opponents(prior, batch)
            gap = self.critic(z).mean() - self.critic(drawn).mean()
            return wgan_gp(self.critic, z, drawn) - gap, {"gap": gap.detach()}

        settings = OptimiserSettings(lr=self.critic_lr, betas=(0.0, 0.9))
        return (Player("latent-critic", tuple(self.critic.parameters()), loss, settings, turns=self.critic_turns),)


@REGULARISERS.register("prior-critic")
class PriorCritic(Matching):
    """The critic that the prior brings and trains itself, FlexAE's: the encoder descends its mean (eq. 8)."""

    def __init__(self, host: Host, *, weight: float = 10.0, encoder_lr: float = 1e-5):
        super().__init__(host, weight, encoder_lr, (0.0, 0.9))

    def check(self, prior: Prior) -> None:
        adversarial(prior)

    def divergence(self, z: Tensor, prior: Prior) -> Tensor:
        return adversarial(prior).criticise(z).mean()


def adversarial(prior: Prior) -> Adversarial:
    """The prior as an `Adversarial`, or Unsupported with the reason."""
    if isinstance(prior, Adversarial):
        return prior
    raise Unsupported(f"{type(prior).__name__} brings no critic of codes: use mmd, gan or wgan, or the prior pgen")
