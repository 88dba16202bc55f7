"""Whether samples repeat the training points, by their nearest ones: authenticity, data copying, copies by count."""

from __future__ import annotations

import math

import scipy
import torch
from torch import Tensor

from benchmarks.estimators.neighbours import Neighbours, nearest

KIN = 10
"""Nearest training points that a copy is told from: the last of them sets the scale."""

NEAR = 1 / 3
"""Of the distance to the last of them: what is nearer to the first than that repeats it."""


def authentic(found: Neighbours, train: Tensor) -> Tensor:
    """Which generated points are no copies, (N,) bool, by their nearest points in `train`, (M, *shape) (Alaa et al.
    2022).

    A point is authentic where it is further from its nearest training point than that one is from its own nearest
    other. At equal distances it is not, so that copies of a point that the training set holds twice are caught.
    The mean, the authentic share, is below 1 for new points too (2,000 Gaussian ones: 0.4 in 2 dimensions, 0.8 in 40),
    and lower for smooth ones, which are closer to everything: it is to be read beside the share of points that are new
    and as smooth. It depends on the training set's size, not on the number generated.
    Raises ValueError below two training points.
    """
    used, place = found.indices.unique(return_inverse=True)
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


def copies(found: Neighbours) -> Tensor:
    """Which points repeat a training point, (N,) bool: d_1 <= NEAR d_KIN, d_k the distance to the k-th nearest training
    point; `found` has the KIN nearest, (N, KIN) (the relative distance of Carlini et al. 2023, who divide by a mean).

    Where points are spread evenly over d dimensions, new ones do so with the probability
    1 - (1 - NEAR^d)^(KIN - 1), whatever the scale and the number of training points: 0.4 % at d = 7, 0.015 % at d = 10.
    Smoothing, and all else that moves a point away from every training point alike, brings the ratio closer to 1 and is
    never taken for copying; nor is a copy found that is smoothed that much. The 10th neighbour sets the scale, and not
    the 2nd, so that near copies are found of a point that the training set holds up to nine times, and exact copies, at
    d_1 = 0, of any.
    """
    return found.distance[:, 0] <= NEAR * found.distance[:, -1]


def excess_p(a: Tensor, b: Tensor) -> float:
    """P(K >= k): Fisher's exact test, one-sided, of more trues in `a`, (n,) bool, than in `b`, (m,) bool.

    K is hypergeometric, given the number of trues in both: where all n + m are independent draws of one law, any n of
    them could be `a`. Then P(p <= alpha) <= alpha, and well below where trues are rare; p = 1 where `a` has none. Draws
    of one Markov chain are not independent. Twice the mean of several runs' p is a p-value too (Rüschendorf 1982).
    """
    n, m, k, both = len(a), len(b), int(a.sum()), int(a.sum() + b.sum())
    return float(scipy.stats.hypergeom.sf(k - 1, n + m, both, n))


def least_share(n: int, m: int, level: float = 0.01) -> float:
    """The smallest share of trues in n that `excess_p` finds at this level where m hold none; inf where no share does.

    k trues have p = prod_(i<k) (n - i) / (n + m - i), about (n / (n + m))^k: m limits what can be found, a share of
    -ln(level) / m however large n is. 2.3 % for 300 against 300, 0.9 % for 3000 against 600, 0.05 % for 10,000 against
    20,000.
    """
    left = torch.arange(n, 0, -1, dtype=torch.float64)
    found = (left / (left + m)).log().cumsum(0) <= math.log(level)
    return (int(found.int().argmax()) + 1) / n if found.any() else math.inf


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
