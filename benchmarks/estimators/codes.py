"""Estimates of codes and of points: distances between samples."""

from __future__ import annotations

import torch
from torch import Tensor


def active_units(mean: Tensor, threshold: float = 0.01) -> int:
    """Latent dimensions in use: Var_x(E[z_d | x]) > threshold (Burda et al. 2016, section 5.2). mean: (N, D)."""
    return int((mean.double().var(0) > threshold).sum())


def wasserstein_1(a: Tensor, b: Tensor) -> float:
    """Wasserstein-1 distance between two samples of equal size, (N, D) each: the mean distance of the best pairing."""
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(a.double(), b.double()).cpu().numpy()
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())
