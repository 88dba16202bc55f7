"""Learned accept/reject sampling from the standard normal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from priors import sizes
from priors.base import Batch, Codes, Density, Diagnostic, Host
from priors.parts.checks import at_least, layered
from priors.parts.networks import code_critic
from priors.parts.normal import log_standard_normal
from priors.registry import register
from priors.space import Int

ROWS = 2**14
"""How many draws of the proposal the acceptance is computed of at a time on a CPU."""

MEMORY = 0.9
"""What the running average of Z keeps of itself at every step of training."""


@register("lars")
class LARS(Density):
    """Standard normal thinned by a learned acceptance a(z), rejection truncated at T draws (Bauer and Mnih 2019).

    Up to T draws z_1, z_2, ... ~ N(0, I) are made. Draw t < T is taken with probability a(z_t), the T-th whatever a
    says. With Z = E_N[a(z)], draw t is reached with probability (1 - Z)^(t-1), and the sum over t is

        p(z) = N(z | 0, I) [a(z) (1 - (1 - Z)^(T-1)) / Z + (1 - Z)^(T-1)].

    a is a tanh network's sigmoid. In training Z is the mean of a over `draws` fresh draws of N(0, I), with its
    gradient; ln p then has a bias of the order Var(a) / (draws Z^2). A running average of these means is the Z of
    `log_prob` in validation, until `fit` estimates it from `final_draws`.

    truncation: T; 1 is N(0, I), and without a bound p tends to N a / Z. widths: of the network's hidden layers.
    """

    certainty = "estimate"
    space = {"truncation": Int(10, 1000, log=True), "draws": Int(128, 8192, log=True)}
    acceptance: Tensor
    acceptance_error: Tensor

    def __init__(
        self,
        host: Host,
        *,
        truncation: int = 100,
        widths: tuple[int, ...] = (100, 100),
        draws: int = 1024,
        final_draws: int = 1_000_000,
    ):
        super().__init__()
        at_least("lars", 1, truncation=truncation, draws=draws)
        at_least("lars", 2, final_draws=final_draws)
        layered("lars", widths=widths)
        self.latent_dim, self.truncation, self.draws, self.final_draws = host.latent_dim, truncation, draws, final_draws
        self.widths = widths
        self.network = code_critic(host.latent_dim, widths, nn.Tanh)
        self.register_buffer("acceptance", torch.zeros(()))
        self.register_buffer("acceptance_error", torch.zeros(()))
        with torch.no_grad():
            self.acceptance.copy_(self.accept(self.proposals(draws)).mean())

    def logit(self, z: Tensor) -> Tensor:
        """ln a(z) / (1 - a(z)), (..., D) -> (...)."""
        return self.network(z).to(z.dtype)

    def accept(self, z: Tensor) -> Tensor:
        """a(z), (..., D) -> (...)."""
        return self.logit(z).sigmoid()

    def proposals(self, n: int) -> Tensor:
        """z ~ N(0, I), (n, D)."""
        return torch.randn(n, self.latent_dim, dtype=self.acceptance.dtype, device=self.acceptance.device)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        z = self.proposals(n)
        waiting = torch.arange(n, device=z.device)
        for _ in range(self.truncation - 1):
            accepted = self.accept(z[waiting])
            waiting = waiting[torch.rand_like(accepted) >= accepted]
            if not len(waiting):
                break
            z[waiting] = self.proposals(len(waiting))
        return z

    def log_prob(self, z: Tensor) -> Tensor:
        return log_standard_normal(z) + self.log_ratio(z, self.acceptance)

    def log_ratio(self, z: Tensor, acceptance: Tensor) -> Tensor:
        """ln p(z) / N(z | 0, I) for a Z, (..., D) -> (...)."""
        log_z, log_last = self.log_ends(acceptance)
        tiny = torch.finfo(acceptance.dtype).tiny  # for T = 1, where the logarithm's gradient would be infinite
        log_before = (-log_last.expm1()).clamp(min=tiny).log()
        return torch.logaddexp(F.logsigmoid(self.logit(z)) + log_before - log_z, log_last)

    def log_ends(self, acceptance: Tensor) -> tuple[Tensor, Tensor]:
        """ln Z and ln (1 - Z)^(T-1), the probability that the last draw is reached; both finite."""
        info = torch.finfo(acceptance.dtype)
        acceptance = acceptance.clamp(4 * info.tiny, 1 - info.eps)  # log1p of tiny itself may round to 0
        return acceptance.log(), (self.truncation - 1) * torch.log1p(-acceptance)

    def divergence(self, batch: Batch, q: Distribution, z: Tensor) -> Tensor:
        """The same estimate as every prior's; in training, Z comes from fresh draws."""
        if not self.training:
            return super().divergence(batch, q, z)
        acceptance = self.accept(self.proposals(self.draws)).mean()
        self.acceptance.lerp_(acceptance.detach(), 1 - MEMORY)
        return q.log_prob(z) - log_standard_normal(z) - self.log_ratio(z, acceptance)

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        """Z and its standard error, from `final_draws`; the codes are not needed."""
        parts = torch.arange(self.final_draws).split(sizes.rows(self.acceptance.device, sum(self.widths), ROWS))
        a = torch.cat([self.accept(self.proposals(len(part))) for part in parts]).double()
        self.acceptance.copy_(a.mean())
        self.acceptance_error.copy_(a.std() / len(a) ** 0.5)

    @property
    def log_prob_error(self) -> float:
        """Standard error of ln Z times (1 - (1 - Z)^(T-1)), which is the mean of |d ln p / d ln Z| over z ~ p.

        ln p falls with Z at every z. Where a = 0 it falls by Z (T - 1) / (1 - Z), but such z are rare under p.
        """
        log_z, log_last = self.log_ends(self.acceptance)
        return (-log_last.expm1() * self.acceptance_error / log_z.exp()).item()

    def report(self) -> Sequence[Diagnostic]:
        return (Diagnostic("acceptance", self.acceptance.item(), error=self.acceptance_error.item()),)
