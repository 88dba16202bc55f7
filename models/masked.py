"""A deterministic encoder whose codes pass a learned mask: MaskAAE's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.posteriors import POSTERIORS, RANGE, Point, Posterior, Range
from priors.base import Index

OPEN = 2.0
"""The logit that every dimension's mask starts at: 0.88, nearly open."""


@POSTERIORS.register("masked")
class MaskedPosterior(Posterior):
    """One code an image, times a learned mask m in (0, 1)^D, the same for all images (Mondal et al. 2020, MaskAAE).

    The mask is trained with the encoder by the reconstruction and by the critic of codes, and driven to 0 or 1 by the
    regulariser `mask`; the prior `masked` reads it.
    """

    stochastic = False

    def __init__(self, latent_dim: int, log_variance_range: Range = RANGE):
        super().__init__(latent_dim, log_variance_range)
        self.logit = nn.Parameter(torch.full((latent_dim,), OPEN))

    @property
    def outputs(self) -> int:
        return self.latent_dim

    def forward(self, h: Tensor) -> MaskedPoint:
        return MaskedPoint(h, self.logit.sigmoid())


class MaskedPoint(Point):
    """A masked code, batch (B,), event (D,). mask: (D,)."""

    def __init__(self, code: Tensor, mask: Tensor):
        self.code, self.mask = code, mask
        super().__init__(code * mask)

    def __getitem__(self, index: Index) -> MaskedPoint:
        return MaskedPoint(self.code[index], self.mask)
