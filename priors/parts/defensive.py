"""The defensive proposal: half the standard normal, half the posteriors of images."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from priors.base import Unsupported
from priors.parts.normal import DiagonalNormal, log_standard_normal, mixture_of


class Defensive(nn.Module):
    """The proposal r = 1/2 N(0, I) + 1/2 1/N sum_j N(z | m_j, v_j), over the posteriors of all training images.

    Where f = N(0, I) exp(T) follows the codes, draws from N(0, I) alone never meet the narrow regions that hold its
    mass; under r the weights f / r are at most 2 f / N(0, I), and at most twice f over the aggregated posterior.

    Its posteriors move with the module but are not in its state: they are the codes again.
    """

    mean: Tensor
    log_variance: Tensor

    def __init__(self, components: DiagonalNormal):
        super().__init__()
        self.register_buffer("mean", components.mean.detach(), persistent=False)  # (N, D)
        self.register_buffer("log_variance", components.log_variance.detach(), persistent=False)

    def sides(self, n: int) -> tuple[Tensor, Tensor]:
        """n draws from N(0, I) and n from the posteriors, (n, D) each."""
        j = torch.randint(len(self.mean), (n,), device=self.mean.device)
        z = DiagonalNormal(self.mean[j], self.log_variance[j]).sample()
        return torch.randn_like(z), z

    def sample(self, n: int) -> Tensor:
        """n draws from r, (n, D)."""
        normal, posterior = self.sides(n)
        return torch.where(torch.rand_like(normal[:, :1]) < 0.5, normal, posterior)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln r(z) in nats, (..., D) -> (...), float64 whatever z is: narrow posteriors need it."""
        posteriors = mixture_of(DiagonalNormal(self.mean.double(), self.log_variance.double()), "the proposal")
        return log_defensive(z.double(), posteriors.log_prob_in_chunks(z))


def log_defensive(z: Tensor, log_q: Tensor) -> Tensor:
    """ln r(z) in nats, (..., D) -> (...), of z's type, from ln q(z) (...) under the mixture of the posteriors."""
    return torch.logaddexp(log_standard_normal(z), log_q) - math.log(2)


@runtime_checkable
class Truncated(Protocol):
    """A law that was cut from a diagonal normal."""

    def untruncated(self) -> DiagonalNormal:
        """The normal that it was cut from."""
        ...


def as_normal(q: Distribution) -> DiagonalNormal:
    """The diagonal normal with q's mean and variance, batch (N,), event (D,): q itself where it is one.

    A truncated normal gives the normal that it was cut from (its method `untruncated`), so that proposals reach beyond
    its support. Raises Unsupported where a variance is zero: a deterministic code has no density.
    """
    normal = moments_of(q)
    if normal is not q and not (normal.log_variance > -math.inf).all():
        raise Unsupported("ln Z needs codes with a density, and this model's encoder is deterministic: use a VAE")
    return normal


def moments_of(q: Distribution) -> DiagonalNormal:
    """`as_normal` of codes that are known to have a density: nothing is read from the device, as training asks."""
    if isinstance(q, Truncated):
        return q.untruncated()
    return q if isinstance(q, DiagonalNormal) else DiagonalNormal(q.mean, q.variance.log())
