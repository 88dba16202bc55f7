"""Whether samples repeat the training points, by their nearest ones: authenticity and data copying."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmarks.metrics.neighbours import Neighbours, nearest


def authentic(found: Neighbours, train: Tensor) -> Tensor:
    """Which generated points are no copies, (N,) bool, by their nearest points in `train`, (M, *shape) (Alaa et al.
    2022).

    A point is authentic where it is further from its nearest training point than that one is from its own nearest
    other. At equal distances it is not, so that copies of a point that the training set holds twice are caught.
    The mean, the authentic share, is below 1 for new points too (2,000 Gaussian ones: 0.4 in 2 dimensions, 0.8 in 40),
    so it is to be read beside the test set's own. It depends on the training set's size, not on the number generated.
    Raises ValueError below two training points.
    """
    used, place = found.index.unique(return_inverse=True)
    spacing = nearest(train[used], train, exclude=used).distance
    return found.distance > spacing[place]


def data_copying(generated: Neighbours, test: Neighbours) -> float:
    """C_T: z-score of the distances to the training set, generated against held-out points (Meehan et al. 2020).

    Negative where generated points are closer to the training set than held-out ones, as copies are; positive where
    they are further, as in underfitting. Where both follow one law it is a standard normal variable; else it grows
    with the square root of their sizes, which must be equal.
    This is the global test, of one cell. The paper's C_T averages it over the cells of a k-means partition, which also
    finds a region copied where another is underfitted; such a pair can cancel here.
    Raises ValueError where generated and held-out sizes differ.
    """
    ours, theirs = len(generated.distance), len(test.distance)
    if ours != theirs:
        raise ValueError(f"the score depends on the sets' sizes, which must be equal: {ours} generated, {theirs} test")
    return mann_whitney_z(generated.distance, test.distance)


def mann_whitney_z(a: Tensor, b: Tensor) -> float:
    """(U - E U) / sd(U), U = the pairs with a_i > b_j, ties half: negative where `a` is smaller. (n,), (m,).

    Under one law E U = nm/2 and Var U = nm/12 [n+m+1 - sum_t (t^3 - t) / ((n+m)(n+m-1))], t the sizes of the groups
    of equal values. No continuity correction. 0 where all values are equal, nan where one is.
    """
    n, m, both = len(a), len(b), torch.cat([a, b]).double()
    if both.isnan().any():
        return math.nan
    _, group, ties = both.unique(return_inverse=True, return_counts=True)
    ties = ties.double()
    rank = (ties.cumsum(0) - (ties - 1) / 2)[group]  # from 1, the mean rank of equal values
    u = rank[:n].sum().item() - n * (n + 1) / 2
    tied = (ties**3 - ties).sum().item() / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - tied)
    return (u - n * m / 2) / math.sqrt(variance) if len(ties) > 1 else 0.0
