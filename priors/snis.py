"""Self-normalised importance sampling from the standard normal as a law of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from priors import sizes
from priors.base import Batch, Codes, Density, Diagnostic, Host
from priors.parts.checks import at_least, layered
from priors.parts.importance import one_of_each
from priors.parts.networks import Scalar, mlp
from priors.parts.normal import log_mean_exp, log_standard_normal
from priors.registry import register
from priors.space import Int

ROWS = 2**14
"""How many proposals the energy is computed of at a time on a CPU."""

CODES = 2**12
"""How many codes are held against all sets of proposals at a time on a CPU."""

QUICK = 16
"""Sets of proposals that validation takes."""

DRAWS = 1024
"""Draws of the prior that its error and the bound's gap are averaged over."""


@register("snis")
class SNIS(Density):
    """One of K draws of a standard normal, chosen by a learned energy (SNIS; Lawson et al. 2019).

    K draws z_1, ..., z_K ~ N(0, I) are made, and z_k is taken with probability e^U(z_k) / sum_j e^U(z_j): exact draws
    of a law whose density is an average over the other K - 1,

        p(z) = N(z | 0, I) e^U(z) E[K / (e^U(z) + sum_{k<K} e^U(z_k))],  z_k ~ N(0, I),

    and tends to N e^U / Z as K grows. By Jensen's inequality

        ln p(z) >= ln N(z | 0, I) + U(z) - E ln [(e^U(z) + sum_{k<K} e^U(z_k)) / K],

    the paper's bound with the sign of its energy turned, is what is trained (K - 1 fresh draws a step, which all codes
    of a batch share) and what `log_prob` gives, in nats. Of the other draws it needs ln sum_k e^U(z_k) alone: `fit`
    takes this of `sets` sets of K - 1 draws, over which it averages, and validation of QUICK sets. `log_prob_error` is
    what another choice of sets would change in the mean of `log_prob` over z ~ p. The diagnostic "bound_gap" is the
    mean of ln p minus the bound, over draws.

    U is a tanh network without a last bias, which would change nothing. proposals: K. widths: of the hidden layers.
    """

    certainty = "bound"
    space = {"proposals": Int(16, 4096, log=True)}
    fitted: Tensor
    log_sums: Tensor
    known: Tensor

    def __init__(
        self,
        host: Host,
        *,
        proposals: int = 1024,
        widths: tuple[int, ...] = (100, 100),
        sets: int = 256,
    ):
        super().__init__()
        at_least("snis", 2, proposals=proposals, sets=sets)
        layered("snis", widths=widths)
        self.latent_dim, self.proposals, self.widths = host.latent_dim, proposals, widths
        hidden, last = mlp(host.latent_dim, widths[:-1], widths[-1], nn.Tanh), nn.Linear(widths[-1], 1, bias=False)
        self.network = Scalar(hidden, nn.Tanh(), last)
        self.register_buffer("fitted", torch.tensor(False))
        self.register_buffer("log_sums", torch.zeros(sets))  # ln sum_k e^U(z_k) of every set
        self.register_buffer("known", torch.zeros(3, dtype=torch.float64))  # its error, the gap, and the gap's error
        with torch.no_grad():
            self.renew(QUICK)

    def energy(self, z: Tensor) -> Tensor:
        """U(z) in nats, high where draws are taken, (..., D) -> (...)."""
        return self.network(z).to(z.dtype)

    def normal(self, *shape: int) -> Tensor:
        """Proposals z ~ N(0, I), (*shape, D)."""
        return torch.randn(*shape, self.latent_dim, dtype=self.log_sums.dtype, device=self.log_sums.device)

    def together(self) -> int:
        """How many sets of K proposals have their energies computed at a time."""
        return max(1, sizes.rows(self.log_sums.device, sum(self.widths), ROWS) // self.proposals)

    # The bound

    def log_prob(self, z: Tensor) -> Tensor:
        parts = z.reshape(-1, z.shape[-1]).split(sizes.rows(z.device, len(self.log_sums), CODES))
        return torch.cat([self.bound(part, self.log_sums) for part in parts]).reshape(z.shape[:-1])

    def bound(self, z: Tensor, log_sums: Tensor) -> Tensor:
        """The bound in nats, averaged over sets of K - 1 draws, z (B, D), their ln sum_k e^U(z_k) (S,) -> (B,)."""
        energy = self.energy(z)
        return log_standard_normal(z) + energy + self.log_share(energy, log_sums).mean(-1)

    def log_share(self, energy: Tensor, log_sums: Tensor) -> Tensor:
        """ln [K / (e^U + sum_k e^U(z_k))] for U (B,) beside every set (S,), (B, S)."""
        return math.log(self.proposals) - torch.logaddexp(energy[:, None], log_sums)

    def divergence(self, batch: Batch, q: Distribution, z: Tensor) -> Tensor:
        """The same estimate as every prior's, of the bound; in training from fresh draws."""
        if not self.training:
            return super().divergence(batch, q, z)
        log_sum = self.energy(self.normal(self.proposals - 1)).logsumexp(0, keepdim=True)
        return q.log_prob(z) - self.bound(z, log_sum)

    # Its sets of draws

    def renew(self, sets: int) -> None:
        """Takes fresh sets of draws, so many that differ."""
        counts = torch.arange(sets).split(self.together())
        fresh = [self.energy(self.normal(len(part), self.proposals - 1)).logsumexp(-1) for part in counts]
        again = torch.arange(len(self.log_sums), device=self.log_sums.device) % sets
        self.log_sums.copy_(torch.cat(fresh)[again])

    @torch.no_grad()
    def before_validation(self, codes: Codes) -> Mapping[str, float]:
        self.renew(QUICK)
        return {}

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        """Takes `sets` sets of draws, once, and finds the bound's error and gap; the codes are not needed."""
        if self.fitted:
            return
        self.renew(len(self.log_sums))
        log_share = self.log_share(self.energy(self.sample(DRAWS)), self.log_sums).double()
        gap = log_mean_exp(log_share, 1) - log_share.mean(1)
        spread = log_share.mean(0).std() / math.sqrt(len(self.log_sums))
        self.known.copy_(torch.stack([spread, gap.mean(), gap.std() / math.sqrt(DRAWS)]))
        self.fitted.fill_(True)

    @property
    def log_prob_error(self) -> float:
        return self.known[0].item()

    def report(self) -> Sequence[Diagnostic]:
        _, gap, error = self.known.tolist()
        return (Diagnostic("bound_gap", gap, "nats", error),) if self.fitted else ()

    # Draws

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        parts = (self.normal(len(part), self.proposals) for part in torch.arange(n).split(self.together()))
        return torch.cat([one_of_each(part, self.energy(part)) for part in parts])
