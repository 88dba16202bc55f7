"""Figures of the codes."""

from __future__ import annotations

from torch import Tensor


def active_units(mean: Tensor, threshold: float = 0.01) -> int:
    """Latent dimensions in use: Var_x(E[z_d | x]) > threshold (Burda et al. 2016, section 5.2). mean: (N, D)."""
    return int((mean.double().var(0) > threshold).sum())
