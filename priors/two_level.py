"""A prior of two levels: any density on top, and below it a normal law that a network reads off the top."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from priors.base import Batch, Codes, Density, Diagnostic, Host, IndexedDistribution, Player, density
from priors.parts.gated import gated_stack
from priors.parts.normal import DiagonalNormal
from priors.parts.two_levels import halves, top_of
from priors.registry import make, register
from priors.space import Choice


@register("two-level")
class TwoLevel(Density):
    """Two levels of codes, p(z) = p(z2) p(z1|z2), any density on top (HVAE; Tomczak and Welling 2018, eq. 13).

    z = (z1, z2), p(z2) any registered density, p(z1|z2) = N(m(z2), v(z2)), read off z2 by gated layers of `widths`.

    z2 has D // 2 dimensions. The prior on top sees an autoencoder of z2 alone: q(z2|x), and E[x|z2] at z1's mean. In
    training its own estimate of its divergence is taken, and certainty and error of ln p(z2) are those of ln p(z).

    top: the prior's name. settings: its settings. log_variance: range of the log variance below.
    Raises Unsupported where the prior on top has no density, or where q(z2|x) has no closed form.
    """

    space = {"top": Choice(("gaussian", "vampprior"))}

    def __init__(
        self,
        host: Host,
        *,
        top: str = "vampprior",
        settings: dict[str, Any] = {},  # noqa: B006 (it is only read)
        widths: tuple[int, ...] = (300, 300),
        log_variance: tuple[float, float] = (-12.0, 4.0),
    ):
        super().__init__()
        if host.latent_dim < 2:
            raise ValueError("two-level needs latent_dim >= 2, a dimension a level")
        self.top_dim, self.range = host.latent_dim // 2, log_variance
        self.network = gated_stack(self.top_dim, widths, 2 * (host.latent_dim - self.top_dim))
        encode, decode = host.encode, host.decode
        seen = replace(
            host,
            latent_dim=self.top_dim,
            encode=lambda x: top_of(encode(x)),
            decode=lambda z2: decode(torch.cat([self.below(z2).mean, z2], -1)),
        )
        self.top = density(make(top, seen, **settings))
        self.certainty = self.top.certainty  # type: ignore[misc]

    def below(self, z2: Tensor) -> DiagonalNormal:
        """p(z1|z2), (..., D2) -> event (D1,)."""
        mean, log_variance = self.network(z2).to(z2.dtype).chunk(2, dim=-1)
        return DiagonalNormal(mean, log_variance.clamp(*self.range))

    def log_prob(self, z: Tensor) -> Tensor:
        z1, z2 = halves(z)
        return self.top.log_prob(z2) + self.below(z2).log_prob(z1)

    def frozen(self) -> Callable[[Tensor], Tensor]:
        log_top = self.top.frozen()

        def log_prob(z: Tensor) -> Tensor:
            z1, z2 = halves(z)
            return log_top(z2) + self.below(z2).log_prob(z1)

        return log_prob

    def sample(self, n: int) -> Tensor:
        with torch.no_grad():
            z2 = self.top.sample(n)
            return torch.cat([self.below(z2).sample(), z2], -1)

    def divergence(self, batch: Batch, q: Distribution, z: Tensor) -> Tensor:
        """ln q(z|x) - ln p(z): the top's own estimate of its part, and the difference of what is below."""
        z1, z2 = halves(z)
        above = top_of(cast(IndexedDistribution, q))
        below = q.log_prob(z) - above.log_prob(z2) - self.below(z2).log_prob(z1)
        return self.top.divergence(batch, above, z2) + below

    # What the top knows of itself

    def players(self) -> Sequence[Player]:
        return self.top.players()

    def shared_parameters(self) -> tuple[nn.Parameter, ...]:
        """The network's, and what the top itself would share: what it fits after training it keeps to itself."""
        return (*self.network.parameters(), *self.top.shared_parameters())

    def penalty(self, batch: Batch) -> Tensor | None:
        return self.top.penalty(batch)

    def before_validation(self, codes: Codes) -> Mapping[str, float]:
        return self.top.before_validation(Codes(lambda: top_of(codes.posterior)))

    def fit(self, codes: Codes) -> None:
        self.top.fit(Codes(lambda: top_of(codes.posterior)))

    def report(self) -> Sequence[Diagnostic]:
        return self.top.report()

    def conventions(self) -> Mapping[str, float]:
        return self.top.conventions()

    @property
    def sampler(self) -> str:
        return self.top.sampler

    @property
    def reliable(self) -> bool:
        return self.top.reliable

    @property
    def log_prob_error(self) -> float:
        return self.top.log_prob_error
