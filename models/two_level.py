"""The posterior of two levels, q(z2|x) q(z1|x, z2)."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.distributions import constraints

from models.flow_posteriors import mirrored_noise
from models.posteriors import POSTERIORS, RANGE, Posterior, Range
from priors.base import Index
from priors.parts.flows import in_full
from priors.parts.gated import GatedLinear, gated_stack
from priors.parts.normal import DiagonalNormal, SampleShape
from priors.parts.two_levels import TwoLevels, halves

WIDTH = 300
"""Of HVAE's layers between x, z2 and z1."""


@POSTERIORS.register("two-level")
class TwoLevelPosterior(Posterior):
    """q(z|x) = q(z2|x) q(z1|x, z2), both diagonal normals, z = (z1, z2) (Tomczak and Welling 2018, section 4).

    The encoder gives mean and log variance of z2 and `width` numbers of x, which q(z1|x, z2) reads beside a gated layer
    of z2. z2 has D // 2 dimensions.
    """

    def __init__(self, latent_dim: int, log_variance_range: Range = RANGE, width: int = WIDTH):
        super().__init__(latent_dim, log_variance_range)
        if latent_dim < 2:
            raise ValueError("the posterior two-level needs latent_dim >= 2, a dimension a level")
        self.top_dim, self.width = latent_dim // 2, width
        self.of_top = GatedLinear(self.top_dim, width)
        self.joint = gated_stack(2 * width, (width,), 2 * (latent_dim - self.top_dim))

    @property
    def outputs(self) -> int:
        return 2 * self.top_dim + self.width

    def forward(self, h: Tensor) -> TwoLevelNormal:
        return TwoLevelNormal(self, self.normal(h[..., : 2 * self.top_dim]), h[..., 2 * self.top_dim :])

    def below(self, features: Tensor, z2: Tensor) -> DiagonalNormal:
        """q(z1|x, z2), features (B, width), z2 (..., B, D2)."""
        with in_full(z2):
            both = torch.cat([features.expand(*z2.shape[:-1], -1), self.of_top(z2)], -1)
            return self.normal(self.joint(both))


class TwoLevelNormal(TwoLevels):
    """q(z2|x) q(z1|x, z2), batch (B,), event (D,)."""

    arg_constraints = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, posterior: TwoLevelPosterior, top: DiagonalNormal, features: Tensor):
        self.posterior, self.top, self.features = posterior, top, features
        super().__init__(top.batch_shape, torch.Size([posterior.latent_dim]), validate_args=False)

    def __getitem__(self, index: Index) -> TwoLevelNormal:
        return TwoLevelNormal(self.posterior, self.top[index], self.features[index])

    def rsample(self, sample_shape: SampleShape = ()) -> Tensor:
        z2 = self.top.rsample(sample_shape)
        return torch.cat([self.posterior.below(self.features, z2).rsample(), z2], -1)

    def log_prob(self, z: Tensor) -> Tensor:
        z1, z2 = halves(z)
        return self.top.log_prob(z2) + self.posterior.below(self.features, z2).log_prob(z1)

    @property
    def mean(self) -> Tensor:
        return torch.cat([self.moments_below[0], self.top.mean], -1)

    @property
    def variance(self) -> Tensor:
        return torch.cat([self.moments_below[1], self.top.variance], -1)

    @cached_property
    @torch.no_grad()
    def moments_below(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of z1 (B, D1), over 256 mirrored draws of z2, the same for every image.

        Relative to its mean at the top's: a narrow law's variance is no difference of large squares.
        """
        noise = mirrored_noise(self.posterior.top_dim).to(self.top.mean)
        centre = self.posterior.below(self.features, self.top.mean).mean
        first, second = torch.zeros_like(centre), torch.zeros_like(centre)
        for e in noise:  # one at a time: all images at once are many
            q = self.posterior.below(self.features, self.top.mean + (0.5 * self.top.log_variance).exp() * e)
            moved = q.mean - centre
            first, second = first + moved / len(noise), second + (moved.square() + q.variance) / len(noise)
        return centre + first, second - first.square()
