"""The standard normal prior."""

from __future__ import annotations

import torch
from torch import Tensor

from priors.base import Density, Host
from priors.parts.normal import log_standard_normal, normal_like
from priors.registry import register


@register("gaussian")
class Gaussian(Density):
    """Standard normal N(0, I): nothing is learned (Kingma and Welling 2014).

    >>> import torch
    >>> from priors.registry import make
    >>> from priors.testing import toy_host
    >>> prior = make("gaussian", toy_host(latent_dim=2))
    >>> round(prior.log_prob(torch.zeros(1, 2)).item(), 4)      # -ln(2 pi)
    -1.8379
    """

    reparameterised = True
    origin: Tensor

    def __init__(self, host: Host):
        super().__init__()
        self.register_buffer("origin", torch.zeros(host.latent_dim))

    def sample(self, n: int) -> Tensor:
        return normal_like(self.origin, n)

    def log_prob(self, z: Tensor) -> Tensor:
        return log_standard_normal(z)
