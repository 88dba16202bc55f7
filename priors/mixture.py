"""A learned mixture of diagonal Gaussians."""

from __future__ import annotations

import torch
from torch import nn

from priors.base import Host
from priors.parts.checks import at_least
from priors.parts.normal import NormalMixture, NormalMixtureDensity
from priors.registry import register
from priors.space import Float, Int


@register("mixture")
class Mixture(NormalMixtureDensity):
    """Mixture of K diagonal Gaussians, p(z) = sum_k w_k N(z | m_k, diag(v_k)), with w, m and v learned.

    The "MoG" row of Tomczak and Welling (2018, section 4), with learned weights. The means start as draws from
    N(0, spread^2 I), the variances at 1 and the weights equal, so that training starts near the standard normal.
    `log_variance` is kept above `floor`: a component may not collapse onto a code.
    """

    space = {"components": Int(2, 1000, log=True), "spread": Float(0.1, 3.0)}

    def __init__(self, host: Host, *, components: int = 100, spread: float = 1.0, floor: float = -8.0):
        super().__init__()
        at_least("mixture", 1, components=components)
        self.floor = floor
        self.mean = nn.Parameter(spread * torch.randn(components, host.latent_dim))
        self.log_variance = nn.Parameter(torch.zeros(components, host.latent_dim))
        self.logit = nn.Parameter(torch.zeros(components))

    def law(self) -> NormalMixture:
        return NormalMixture(self.mean, self.log_variance.clamp(min=self.floor), self.logit.log_softmax(0))
