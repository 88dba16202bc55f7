"""Maximum mean discrepancy between two samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Kernel = Callable[[Tensor], Tensor]
"""A kernel as a function of squared distances, r^2 (N, M) -> k(r^2) (N, M)."""

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def rbf(bandwidth2: float) -> Kernel:
    """The Gaussian kernel exp(-r^2 / bandwidth2)."""
    return lambda r2: (-r2 / bandwidth2).exp()


def imq(latent_dim: int, scales: Sequence[float] = SCALES) -> Kernel:
    """Sum of inverse multiquadratics c / (c + r^2), c = 2 D s for every scale s (WAE-MMD, Tolstikhin et al. 2018).

    2 D is E r^2 of two draws of N(0, I) in D dimensions; for another variance of the prior multiply the scales by it.
    """
    constants = [2 * latent_dim * scale for scale in scales]
    return lambda r2: sum((c / (c + r2) for c in constants), r2.new_zeros(()))


def mmd2(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """Unbiased estimate of MMD^2 between the laws of x (N, D) and y (M, D), a scalar (Gretton et al. 2012, eq. 3).

    mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_ij k(x_i, y_j). It is negative at times, where the
    laws are close. A sample of one has no pairs, and its first or second mean counts as 0: a constant without gradient.
    """
    return among(x, kernel) + among(y, kernel) - 2 * kernel(distance2(x, y)).mean()


def among(x: Tensor, kernel: Kernel) -> Tensor:
    """Mean of the kernel over all pairs of different rows."""
    k = kernel(distance2(x, x))
    return (k.sum() - k.diagonal().sum()) / max(len(x) * (len(x) - 1), 1)


def distance2(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances, (N, D) and (M, D) -> (N, M), from differences: exact far from the origin too."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
