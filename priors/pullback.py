"""The pull-back prior: the standard normal tilted by a critic of decoded images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from priors.base import Batch, Codes, DataCritic, Diagnostic, Host, OptimiserSettings, Player, Unsupported
from priors.parts import normalisers
from priors.parts.checks import above, at_least, layered
from priors.parts.energy import Energy
from priors.parts.importance import rows
from priors.parts.latent_gan import LatentGAN, gap
from priors.parts.log_z import LogZ, log_z_of
from priors.parts.networks import Scalar, data_critic
from priors.parts.normal import log_standard_normal
from priors.parts.normalisers import Terms
from priors.parts.penalties import PENALTIES
from priors.parts.residual import residual_critic
from priors.registry import register
from priors.space import Choice, Float


@register("pullback")
class Pullback(Energy, DataCritic):
    """Pull-back prior: p(z) = N(z | 0, I) exp(-beta D(G(z))) / Z, D a critic of images (VAEPP, eq. 4).

    D is low on real images. G(z) = E[x|z] is the decoder, which p's gradient reaches, and beta = scale * sigmoid(s)
    with s learned from 0. After training `Energy` estimates ln Z. In training it is what `normaliser` says:

    "defensive": importance sampling from N(0, I) and the batch's posteriors, `proposals` draws of the first
        (`normalisers.DefensiveBatch`). Valid as far as these reach, which in tens of dimensions is not far.
    "chains": the gradient of ln Z over `proposals` particles that follow p through training (`normalisers.Chains`).
    "paper": the batch's Z_b (VAEPP, section 3.4), by which the KL of training is at least ln (N / 2) nats whatever p
        is, so that codes leave the prior (`normalisers.Batchwise`). Early stopping goes by it too, as the paper's does.

    The paper's Z-hat (eq. 8), the second half of Z_b over all training images, is no upper bound in practice: the tails
    that carry its excess over Z are hardly ever drawn. The paper's figure is the convention "z-hat".

    scale: W, the largest beta.
    training: "combined" trains D in the VAE's loss, with W times the gradient penalty (algorithm 2, with W for beta as
        in the authors' code). "naive" alternates with a player that descends E D(x) - E D(G(e)) + penalty at the rate
        `critic_lr` (algorithm 1, with its sign set right).
    critic: "plain" is `data_critic` with `channels` and `width`; "residual" is VAEPP's own, for images.
    draws: those that the mixture's ln Z and Z-hat are estimated from; Z-hat takes at least one from every training
        image.
    sampling: "mcmc" and "resampling" are `Energy`'s. The paper's are "gan", which draws from a GAN that `fit` trains on
        codes z ~ q(z|x) in `gan_steps` steps, and "mala", which moves such draws by `mala_steps` Langevin steps of size
        `mala_step`, each accepted or not (section 4.3; VAEPP takes 2020 of 1e-5 on MNIST): too few and too short to
        forget the GAN, whose law its draws then have, not p's.
    Raises Unsupported on a deterministic encoder: the estimates of Z need the density q(z|x).
    """

    space = {
        "scale": Float(1.0, 1000.0, log=True),
        "training": Choice(("combined", "naive")),
        "penalty": Choice(tuple(PENALTIES)),
        "critic_lr": Float(1e-5, 1e-3, log=True),
    }
    log_z_hat: Tensor
    log_z_hat_error: Tensor

    def __init__(
        self,
        host: Host,
        *,
        scale: float = 10.0,
        training: Literal["combined", "naive"] = "combined",
        penalty: Literal["wgan-gp", "wgan-div-1", "wgan-div-2"] = "wgan-div-1",
        proposals: int = 128,
        critic: Literal["plain", "residual"] = "plain",
        channels: tuple[int, ...] = (32, 64),
        width: int = 256,
        critic_lr: float = 1e-4,
        normaliser: Literal["defensive", "chains", "paper"] = "defensive",
        draws: int = 20_000,
        particles: int = 1024,
        sampling: Literal["mcmc", "resampling", "gan", "mala"] = "mcmc",
        oversample: int = 10,
        moves: int = 100,
        mala_steps: int = 200,
        mala_step: float = 1e-3,
        gan_steps: int = 2000,
    ):
        at_least("pullback", 1, proposals=proposals, width=width, mala_steps=mala_steps, gan_steps=gan_steps)
        above("pullback", 0, scale=scale, critic_lr=critic_lr, mala_step=mala_step)
        layered("pullback", channels=channels)
        if not host.stochastic:
            raise Unsupported("pullback estimates Z from q(z|x), and this model's encoder is deterministic: use a VAE")
        super().__init__(
            host.latent_dim,
            draws=draws,
            particles=particles,
            selection="paper" if normaliser == "paper" else "normalised",
            sampling="mcmc" if sampling == "mcmc" else "resampling",
            oversample=oversample,
            moves=moves,
        )
        self.critic = image_critic(critic, host.data_shape, channels, width)
        self.s = nn.Parameter(torch.zeros(()))
        self.gan = LatentGAN(host.latent_dim) if sampling in ("gan", "mala") else None
        self.gan_moves, self.gan_steps = (mala_steps, mala_step) if sampling == "mala" else None, gan_steps
        self.normaliser = normalisers.make(normaliser, proposals, host)
        self.register_buffer("log_z_hat", torch.zeros(()))
        self.register_buffer("log_z_hat_error", torch.zeros(()))
        self.decode, self.critic_lr = host.decode, critic_lr
        self.scale, self.algorithm, self.gradient_penalty = scale, training, PENALTIES[penalty]

    @property
    def beta(self) -> Tensor:
        """The critic's weight, in (0, scale), a scalar."""
        return self.scale * self.s.sigmoid()

    def pulled_back(self, z: Tensor) -> Tensor:
        """D(G(z)), (..., D) -> (...)."""
        flat = z.reshape(-1, z.shape[-1])
        parts = (flat,) if torch.is_grad_enabled() else flat.split(rows(flat))
        value = torch.cat([self.critic(self.decode(part)) for part in parts])
        return value.to(z.dtype).reshape(z.shape[:-1])

    def criticise_data(self, x: Tensor) -> Tensor:
        return self.critic(x)

    def log_f(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) - self.beta * self.pulled_back(z)

    # Training

    def divergence(self, batch: Batch, q: Distribution, z: Tensor) -> Tensor:
        """ln q(z|x) - ln f(z) + ln Z in nats, (B,).

        In training ln Z is the normaliser's, and the mean is moved to 0 where it is below (the authors' code), as an
        estimate's noise may have it; elsewhere ln Z is the fitted one, or that of the validation.
        """
        if not self.training and (self.fitted is not None or self.selection == "normalised"):
            return super().divergence(batch, q, z)
        others = self.normaliser.others(self.log_f, q, z)
        at_z, at_others = self.log_f(torch.cat([z, others])).split([len(z), len(others)])  # one pass of the networks
        kl = q.log_prob(z) - at_z + self.normaliser.log_z(Terms(q, z, at_z, others, at_others))
        return kl - kl.mean() + kl.mean().clamp(min=0) if self.normaliser.valued else kl

    def penalty(self, batch: Batch) -> Tensor | None:
        if self.algorithm == "naive":
            return None
        return self.scale * self.gradient_penalty(self.critic, batch.original, self.fakes(len(batch.x)))

    def players(self) -> tuple[Player, ...]:
        if self.algorithm == "combined":
            return ()
        settings = OptimiserSettings(self.critic_lr, betas=(0.5, 0.999))
        return (Player("critic", tuple(self.critic.parameters()), self.critic_loss, settings),)

    def critic_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """E D(x) - E D(G(e)) + penalty, e ~ N(0, I), a scalar, and its parts; x before any binarisation."""
        real, fake = batch.original, self.fakes(len(batch.x))
        difference, penalty = gap(self.critic, real, fake), self.gradient_penalty(self.critic, real, fake)
        return difference + penalty, {"gap": difference.detach(), "penalty": penalty.detach()}

    @torch.no_grad()
    def fakes(self, n: int) -> Tensor:
        """G(e), e ~ N(0, I), (n, *data_shape)."""
        return self.decode(self.normal(n))

    # After training

    def fit(self, codes: Codes) -> None:
        """ln Z, the paper's ln Z-hat and, where draws start from it, the GAN of the codes (once)."""
        super().fit(codes)
        z_hat = self.z_hat(codes.posterior)
        self.log_z_hat.fill_(z_hat.value)
        self.log_z_hat_error.fill_(z_hat.error)
        if self.gan is not None:
            self.gan.fit(codes.posterior, self.gan_steps)

    @torch.no_grad()
    def z_hat(self, q: Distribution) -> LogZ:
        """ln Z-hat = ln E f(z) / (q(z|x_j) / N) over the N training images x_j, z ~ q(z|x_j) (VAEPP, eq. 8)."""
        count = q.batch_shape[0]
        z = q.sample((max(1, self.draws // count),))
        mean = log_z_of((self.log_f(z) - q.log_prob(z)).flatten())
        return LogZ(mean.value + math.log(count), mean.error, mean.effective)

    def conventions(self) -> Mapping[str, float]:
        return {} if self.fitted is None else {"z-hat": (self.log_z - self.log_z_hat).item()}

    @property
    def sampler(self) -> str:
        if self.gan is None:
            return super().sampler
        return "a GAN of the codes" + (f", then {self.gan_moves[0]} MALA steps" if self.gan_moves else "")

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        if self.gan is None:
            return super().sample(n)
        z = self.gan.sample(n)
        return self.walked(z, *self.gan_moves) if self.gan_moves else z

    def report(self) -> Sequence[Diagnostic]:
        if self.fitted is None:
            return (Diagnostic("beta", self.beta.item()),)
        z_hat = Diagnostic("log_z_hat", self.log_z_hat.item(), "nats", self.log_z_hat_error.item())
        return (Diagnostic("beta", self.beta.item()), *super().report(), z_hat)


def image_critic(kind: str, data_shape: tuple[int, ...], channels: tuple[int, ...], width: int) -> Scalar:
    """The critic D, x (B, *data_shape) -> (B,), by its name in the prior's settings: "plain" or "residual"."""
    return data_critic(data_shape, channels, width) if kind == "plain" else residual_critic(data_shape)
