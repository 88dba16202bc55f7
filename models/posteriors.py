"""Laws q(z|x): from the encoder's output to a distribution over codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from priors.normal import DiagonalNormal


class Posterior(nn.Module, ABC):
    """Turns `outputs` numbers an image into q(z|x). The distribution is indexed like a tensor over its batch."""

    stochastic: ClassVar[bool]

    def __init__(self, latent_dim: int):
        super().__init__()
        self.latent_dim = latent_dim

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers that the encoder must give."""

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """h (B, outputs) -> q, batch (B,), event (D,)."""


class NormalPosterior(Posterior):
    """q(z|x) = N(mean, diag(exp(log_variance))), the log variance clipped to `log_variance_range`.

    The clip guards against a variance of zero or infinity in float32; a well-trained posterior stays inside.
    """

    stochastic = True

    def __init__(self, latent_dim: int, log_variance_range: tuple[float, float] = (-12.0, 4.0)):
        super().__init__(latent_dim)
        self.log_variance_range = log_variance_range

    @property
    def outputs(self) -> int:
        return 2 * self.latent_dim

    def forward(self, h: Tensor) -> DiagonalNormal:
        mean, log_variance = h.chunk(2, dim=-1)
        return DiagonalNormal(mean, log_variance.clamp(*self.log_variance_range))


POSTERIORS: dict[str, type[Posterior]] = {"normal": NormalPosterior}
