"""The sliced Wasserstein distance between two sets of points: optimal transport along random directions."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.estimators.neighbours import BUDGET

DIRECTIONS = 1000


@torch.no_grad()
def sliced_wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> float:
    """sqrt(mean_t W_2^2(<t, a>, <t, b>)) over unit vectors t, of equally many points (N, D) and (N, D), directions
    (L, D) (Rabin et al. 2011; Bonneel et al. 2015).

    Along a line the optimal plan pairs the points in their order, so that W_2^2 is the mean squared difference of the
    sorted projections. In the unit of a coordinate: of a shift by v it is the root mean square of v's coordinates, and
    of N(m, s^2 I) and N(n, r^2 I) it is sqrt(|m - n|^2 / D + (s - r)^2).

    It is biased upwards by drawing the points, and the bias falls with their number, along a line as 1/sqrt(N) at most:
    only estimates of equal N compare, and two samples of one law are not at 0. Directions add noise that those who
    share them share. float64. Raises ValueError where the sets are not of one shape.
    """
    return math.sqrt(mean_square(a, b, directions))


@torch.no_grad()
def mind(a: Tensor, b: Tensor, directions: Tensor) -> float:
    """Monge inception distance: 3 D mean_t W_2^2(<t, a>, <t, b>) over unit vectors t (Berthet et al. 2026).

    (N, D) and (N, D), directions (L, D). The square of `sliced_wasserstein`, times 3 D, which puts it at about the
    Frechet distance's size: of a shift by v it is 3 |v|^2 where that is |v|^2, and of N(0, s^2 I) and N(0, r^2 I) it
    is 3 D (s - r)^2 where that is D (s - r)^2. No covariance is estimated, and laws of equal mean and covariance need
    not be at 0. Biased upwards like every distance of samples, and as `sliced_wasserstein` in all else.
    """
    return 3 * a.shape[1] * mean_square(a, b, directions)


def mean_square(a: Tensor, b: Tensor, directions: Tensor) -> float:
    """mean_t W_2^2(<t, a>, <t, b>); ValueError where the sets are not of one shape."""
    if a.shape != b.shape:
        raise ValueError(f"a and b must have one shape (N, D), but have {tuple(a.shape)} and {tuple(b.shape)}")
    total = 0.0
    for t in directions.double().split(max(1, BUDGET // len(a))):
        gap = (a.double() @ t.T).sort(0).values - (b.double() @ t.T).sort(0).values
        total += gap.square().mean(0).sum().item()
    return total / len(directions)


def directions(dimensions: int, number: int = DIRECTIONS) -> Tensor:
    """Vectors on the unit sphere, uniformly at random, (number, D), float64, from torch's random state."""
    return normalize(torch.randn(number, dimensions, dtype=torch.float64), dim=1)
