"""Codes of two levels, z = (z1, z2): z2, the top, comes first in their making and last in their order."""

from __future__ import annotations

from abc import ABC

from torch import Tensor

from priors.base import IndexedDistribution, Unsupported
from priors.parts.normal import DiagonalNormal


def halves(z: Tensor) -> tuple[Tensor, Tensor]:
    """z1 and z2 of z (..., D): the top has D // 2 dimensions."""
    top = z.shape[-1] // 2
    return z[..., : z.shape[-1] - top], z[..., z.shape[-1] - top :]


class TwoLevels(IndexedDistribution, ABC):
    """A law of z = (z1, z2) whose `top`, that of z2 alone, is a diagonal normal."""

    top: DiagonalNormal


def top_of(q: IndexedDistribution) -> DiagonalNormal:
    """The law of z2 alone; Unsupported where it has no closed form."""
    if isinstance(q, TwoLevels):
        return q.top
    if isinstance(q, DiagonalNormal):
        return DiagonalNormal(halves(q.mean)[1], halves(q.log_variance)[1])
    raise Unsupported(
        f"two-level needs the law of z2 alone, which {type(q).__name__} does not have: use the posterior two-level"
    )
