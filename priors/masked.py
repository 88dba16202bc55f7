"""The standard normal on the dimensions that a learned mask leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from priors.base import Codes, Diagnostic, Host, Prior
from priors.parts.normal import normal_like
from priors.registry import register


@register("masked")
class Masked(Prior):
    """Draws m e, e ~ N(0, I), m the mask of the codes: a normal on what the mask leaves open (Mondal et al. 2020).

    m is read off the codes' posterior before every validation and after training; where that has none it is 1 in every
    dimension. A closed dimension has no density on R^D, so there is no likelihood. The diagnostic "open" counts the
    dimensions whose mask is above a half.
    """

    reparameterised = True  # it learns nothing of its own
    mask: Tensor

    def __init__(self, host: Host):
        super().__init__()
        self.register_buffer("mask", torch.ones(host.latent_dim))

    def sample(self, n: int) -> Tensor:
        return self.mask * normal_like(self.mask, n)

    @torch.no_grad()
    def before_validation(self, codes: Codes) -> Mapping[str, float]:
        self.read(codes)
        return {"open": self.open}

    @torch.no_grad()
    def fit(self, codes: Codes) -> None:
        self.read(codes)

    def read(self, codes: Codes) -> None:
        """Takes up the codes' mask, where they have one."""
        self.mask.copy_(getattr(codes.posterior, "mask", torch.ones_like(self.mask)))

    @property
    def open(self) -> float:
        """How many dimensions the mask leaves open."""
        return float((self.mask > 0.5).sum())

    def report(self) -> Sequence[Diagnostic]:
        return (Diagnostic("open", self.open, "dimensions"),)
