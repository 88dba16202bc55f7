"""Density and coverage with every point's contribution clipped, calibrated to be shares of good samples."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.estimators.latent import Measured
from benchmarks.estimators.manifold import by_halves, radii, squared_distances
from benchmarks.estimators.neighbours import BUDGET, bar

NEIGHBOURS = 5
"""k of density and coverage (Naeem et al. 2020)."""


class Clipped(NamedTuple):
    """Both are 1 on average where generated and reference points follow one law, and 1 - b where a share b of the
    generated points lies where no reference point is and the others follow it."""

    clipped_density: float
    clipped_coverage: float


@torch.no_grad()
def clipped(generated: Tensor, reference: Tensor, k: int = NEIGHBOURS) -> Clipped:
    """Clipped density and clipped coverage (Salvy, Talbot and Thirion 2026), features (N, F) and (M, F).

    B_i is the closed ball around reference point y_i that reaches its k-th nearest other reference point, r_i its
    radius, and B'_i the one of radius min(r_i, median r), so that no outlier among the reference points has a ball that
    holds everything.

        density  = mean_j min(1, sum_i 1[x_j in B'_i] / k) / mean_m min(1, sum_(i != m) 1[y_m in B'_i] / k)
        coverage = s / N with E min(1, S / k) = mean_i min(1, sum_j 1[x_j in B_i] / k), S ~ BetaBinomial(s, k, M - k)

    A generated point counts once at most however many balls it is in, and a ball once at most however many points are
    in it. Density is calibrated by what the reference points get of each other; coverage by its law: the mass of the
    data in B_i is a Beta(k, M - k) variable, so that s good points put S of them into it. The scale is the share of
    good points, which bad ones lower in both: a low coverage alone says that data are missing.

    Estimates scatter around 1 for samples of one law: they are not cut there, and the paper's are. Raises ValueError
    where a set has no k-th other point. Copies and ties count as inside, as in `manifold`.
    """
    if min(len(generated), len(reference)) <= k:
        sizes = f"generated has {len(generated)}, reference has {len(reference)}"
        raise ValueError(f"each set must have more than {k} points for balls to reach so many: {sizes}")
    centre = reference.mean(0, dtype=torch.float64)
    a, b = generated - centre, reference - centre
    (wide,) = radii(b, k)
    narrow = wide.clamp(max=wide.quantile(0.5))
    balls, in_ball = counts(a, b, narrow, wide)
    own, _ = counts(b, b, narrow, wide, torch.arange(len(b), device=b.device))
    density = clip(balls, k) / clip(own, k)
    return Clipped(density, share_of_good(clip(in_ball, k), len(a), len(b), k))


def clipped_means(generated: Tensor, reference: Tensor, k: int = NEIGHBOURS) -> dict[str, Measured]:
    """Both with standard errors of drawing both sets, as `manifold_means` has them."""
    return by_halves(partial(values_of, k=k), generated, reference)


def values_of(generated: Tensor, reference: Tensor, k: int) -> dict[str, float]:
    """Both by name."""
    return clipped(generated, reference, k)._asdict()


def clip(number: Tensor, k: int) -> float:
    """Mean of min(1, n / k)."""
    return (number.double() / k).clamp(max=1).mean().item()


def counts(a: Tensor, b: Tensor, narrow: Tensor, wide: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """For every point of `a` the number of narrow balls around `b` that it is in, (N,), and for every wide ball the
    number of points in it, (M,). Squared radii. own: index of the ball that a point does not count in."""
    rows = max(1, BUDGET // len(b))
    parts = a.split(rows)
    barred = [None] * len(parts) if own is None else own.split(rows)
    balls, points = [], torch.zeros(len(b), dtype=torch.long, device=b.device)
    for part, one in zip(parts, barred, strict=True):
        distance = bar(squared_distances(part, b, -1), one)
        balls.append((distance <= narrow).sum(1))
        points += (distance <= wide).sum(0)
    return torch.cat(balls), points


def share_of_good(value: float, n: int, m: int, k: int) -> float:
    """s / n, s the number of good points at which a ball's expected clipped count is `value`; twice n at most."""
    expected = expected_counts(2 * n, m, k)
    return float(np.interp(value, expected, np.arange(2 * n + 1))) / n


@lru_cache
def expected_counts(most: int, m: int, k: int) -> np.ndarray:
    """E min(1, S / k), S ~ BetaBinomial(s, k, m - k), for s = 0, ..., most."""
    from scipy.stats import betabinom

    number = np.arange(most + 1)[:, None]
    below = np.arange(k)
    expected: np.ndarray = 1 - ((1 - below / k) * betabinom.pmf(below, number, k, m - k)).sum(1)
    return expected
