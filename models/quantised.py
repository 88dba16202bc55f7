"""A deterministic encoder whose codes are entries of a learned codebook: VQ-VAE's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.posteriors import POSTERIORS, RANGE, Point, Posterior, Range
from priors.base import Index
from priors.parts.grid import positions_of

ENTRIES = 512
"""Of the codebook (van den Oord et al. 2017, section 4.1)."""


@POSTERIORS.register("quantised")
class QuantisedPosterior(Posterior):
    """The encoder's numbers as a grid of vectors, each replaced by the nearest of `entries` learned ones (VQ-VAE; van
    den Oord et al. 2017, eq. 2).

    A code of D numbers has 64 vectors, or 16, 4 or 1 where D is small (`positions_of`). The gradient at a code passes
    on to the encoder's numbers as it is; what moves the codebook is the regulariser `commitment`. There is no density
    of z given x.
    """

    stochastic = False

    def __init__(self, latent_dim: int, log_variance_range: Range = RANGE, entries: int = ENTRIES):
        super().__init__(latent_dim, log_variance_range)
        self.positions = positions_of(latent_dim)
        size = latent_dim // self.positions
        self.codebook = nn.Parameter(torch.empty(entries, size).uniform_(-1.0, 1.0) / size**0.5)

    @property
    def outputs(self) -> int:
        return self.latent_dim

    def forward(self, h: Tensor) -> QuantisedPoint:
        vectors = h.unflatten(-1, (self.positions, -1))
        with torch.no_grad():
            distance = self.codebook.square().sum(1) - 2 * vectors @ self.codebook.T  # but for |vector|^2
            nearest = distance.argmin(-1)
        return QuantisedPoint(h, self.codebook[nearest].flatten(-2))


class QuantisedPoint(Point):
    """A code of codebook entries, batch (B,), event (D,). before: the encoder's numbers. chosen: the entries."""

    def __init__(self, before: Tensor, chosen: Tensor):
        self.before, self.chosen = before, chosen
        super().__init__(chosen.detach() + (before - before.detach()))  # the entries exactly, with before's gradient

    def __getitem__(self, index: Index) -> QuantisedPoint:
        return QuantisedPoint(self.before[index], self.chosen[index])
