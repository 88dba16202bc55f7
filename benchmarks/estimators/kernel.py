"""The squared maximum mean discrepancy with a cubic kernel between two sets of features: the formula under KID."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.estimators.latent import Measured
from benchmarks.estimators.neighbours import BUDGET


@torch.no_grad()
def kernel_distance(a: Tensor, b: Tensor) -> Measured:
    """Unbiased MMD^2 with k(x, y) = (x.y/F + 1)^3 over all points, (N, F) and (M, F) (Binkowski et al. 2018).

    mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean_{i, j} k(a_i, b_j). Its expectation is 0 where both
    follow one law, whatever N and M, and a single value may be negative. Features of the Inception network make it
    KID. There, subsets of 1,000 points are commonly drawn: the mean of their values has the same expectation, and over
    all possible subsets of one size it is this very value, so that a few of them only add noise. Their standard
    deviation is that of 1,000 points and no standard error.

    The standard error is that of drawing both sets, and holds near 0 too, where the estimate's leading term vanishes
    (see `variance`): of equal or nearly equal laws it is on average 1.3 times too large, of others right.

    Everything is in float64. Memory: a few arrays of BUDGET numbers. Raises ValueError below four points.
    """
    n, m = len(a), len(b)
    if min(n, m) < 4:
        raise ValueError(f"a and b must have at least 4 points to show a standard error, but have {n} and {m}")
    among_a, among_b, across = others(a), others(b), pair_sums(a, b)
    within = sum(among.rows.sum() / (len(among.rows) * (len(among.rows) - 1)) for among in (among_a, among_b))
    value = within - 2 * across.rows.sum() / (n * m)
    return Measured(value.item(), math.sqrt(variance(among_a, among_b, across)))


class PairSums(NamedTuple):
    """Sums of k(a_i, b_j) over j, (n,), and over i, (m,), and of k(a_i, b_j)^2 over both, (); float64."""

    rows: Tensor
    columns: Tensor
    squares: Tensor


def pair_sums(a: Tensor, b: Tensor) -> PairSums:
    """Over all pairs, a block at a time."""
    side = max(1, min(math.isqrt(BUDGET), BUDGET // a.shape[1]))
    rows, columns, squares = (a.new_zeros(size, dtype=torch.float64) for size in (len(a), len(b), ()))
    for x, row in zip(a.split(side), rows.split(side), strict=True):
        for y, column in zip(b.split(side), columns.split(side), strict=True):
            k = cubic(x.double() @ y.double().T, x.shape[1])
            row += k.sum(1)
            column += k.sum(0)
            squares += k.square_().sum()
    return PairSums(rows, columns, squares)


def others(points: Tensor) -> PairSums:
    """Over the pairs of different points of one set."""
    sums = pair_sums(points, points)
    own = cubic(torch.linalg.vector_norm(points, dim=1, dtype=torch.float64).square(), points.shape[1])
    return PairSums(sums.rows - own, sums.columns - own, sums.squares - own.square().sum())


def cubic(product: Tensor, features: int) -> Tensor:
    """(x.y/F + 1)^3 from x.y, which is overwritten."""
    return product.div_(features).add_(1).pow_(3)


def variance(among_a: PairSums, among_b: PairSums, across: PairSums) -> float:
    """The sampling variance of MMD^2.

    MMD^2 is a sum of uncorrelated terms of single points and of pairs (Hoeffding 1948). The jackknife estimates the
    variance of the first plus twice that of the second (Efron and Stein 1981), so one of these is taken off. Of equal
    laws the pairs' variance alone is left, below which only noise takes the difference.
    """
    n, m = len(among_a.rows), len(among_b.rows)
    a, b = among_a.rows / (n - 2) - across.rows / m, among_b.rows / (m - 2) - across.columns / n
    jackknife = 4 * a.var() / n + 4 * b.var() / m
    pairs = (
        2 * interaction_within(among_a) / (n * (n - 1))
        + 2 * interaction_within(among_b) / (m * (m - 1))
        + 4 * interaction_across(across) / (n * m)
    )
    return torch.maximum(jackknife - pairs, pairs).item()  # half the jackknife's at least, so never below 0


def interaction_within(sums: PairSums) -> Tensor:
    """Unbiased variance of what of k(x, x') is no sum of functions of x and of x', from pairs of different points.

    The mean square of U-centred values (Szekely and Rizzo 2014), multiplied out.
    """
    n, total = len(sums.rows), sums.rows.sum()
    squares = sums.squares - 2 * sums.rows.square().sum() / (n - 2) + total.square() / ((n - 1) * (n - 2))
    return squares / (n * (n - 3))


def interaction_across(sums: PairSums) -> Tensor:
    """Unbiased variance of what of k(x, y) is no sum of a function of x and one of y: the two-way layout's residual."""
    n, m, total = len(sums.rows), len(sums.columns), sums.rows.sum()
    squares = sums.squares - sums.rows.square().sum() / m - sums.columns.square().sum() / n + total.square() / (n * m)
    return squares / ((n - 1) * (m - 1))
