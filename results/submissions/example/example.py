"""Student's t, a law with heavier tails than the Gaussian's: change it into your own.

    z = m + s e / sqrt(g),    e ~ N(0, I),    g ~ Gamma(nu / 2, rate nu / 2), one for all D dimensions

Given g, z is normal; the integral over g leaves, with r = sum_d ((z_d - m_d) / s_d)^2,

    ln p(z) = ln Gamma((nu + D) / 2) - ln Gamma(nu / 2) - D / 2 ln(nu pi) - sum_d ln s_d - (nu + D) / 2 ln(1 + r / nu).

To keep when it becomes yours: `log_prob` is normalised (or the class says what it is instead: docs/add-a-prior.md, "Which
class?"), and `sample` draws from the same law.
"""

import math

import torch
from torch import nn

from priors import Density, Float, register


@register("student")
class Student(Density):
    """Student's t with learned place, scales and degrees of freedom."""

    # Settings worth tuning and their ranges, which `priorbench tune` searches.
    space = {"freedom": Float(2.0, 50.0, log=True)}

    def __init__(self, host, *, freedom: float = 8.0):
        """host: the autoencoder as a prior may see it. freedom: nu, where training begins."""
        super().__init__()
        # Every parameter descends the model's loss with the encoder and the decoder. A scale is kept as its logarithm,
        # so that no step of the optimiser makes it negative.
        self.mean = nn.Parameter(torch.zeros(host.latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(host.latent_dim))
        self.log_freedom = nn.Parameter(torch.tensor(math.log(freedom)))

    def log_prob(self, z):
        """ln p(z) in nats: (B, D) -> (B,)."""
        nu, d = self.log_freedom.exp(), z.shape[-1]
        r = ((z - self.mean) / self.log_scale.exp()).square().sum(-1)
        constant = torch.lgamma((nu + d) / 2) - torch.lgamma(nu / 2) - d / 2 * (math.pi * nu).log()
        return constant - self.log_scale.sum() - (nu + d) / 2 * (r / nu).log1p()

    @torch.no_grad()
    def sample(self, n):
        """n draws, (n, D), from torch's global random state, which the harness seeds."""
        nu, e = self.log_freedom.exp(), torch.randn_like(self.mean.expand(n, -1))
        g = torch.distributions.Gamma(nu / 2, nu / 2).sample((n, 1))
        return self.mean + self.log_scale.exp() * e / g.sqrt()
