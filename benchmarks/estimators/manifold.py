"""How samples cover the data's manifold and keep to it, both drawn as balls to the k-th neighbour around features."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.estimators.latent import Measured
from benchmarks.estimators.neighbours import BUDGET, bar

SPLITS, FEWEST = 12, 50
"""Halvings of both sets that a standard error is estimated from, and the fewest points of each set for one."""


class Manifold(NamedTuple):
    """What the four estimates are the means of, one value a point: `manifold_means` gives each with a standard error.

    precision: whether a generated point is in the ball of some reference point, (N,) bool.
    recall: whether a reference point is in the ball of some generated point, (M,) bool.
    density: the number of reference points in whose balls a generated point is, over k, (N,) float64.
    coverage: whether some generated point is in a reference point's ball, (M,) bool.
    """

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor


@torch.no_grad()
def manifold(generated: Tensor, reference: Tensor, k: int = 3, k_density: int = 5) -> Manifold:
    """Improved precision and recall (Kynkaanniemi et al. 2019) and density and coverage (Naeem et al. 2020).

    Features (N, F) and (M, F). A point's ball reaches to its k-th nearest other point of its own set, which is in it:
    a ball is closed. k is for precision and recall, k_density for density and coverage, the papers' 3 and 5. Where
    both sets follow one law with a density, the expected density is 1 and the expected coverage about 1 - 2^-k_density
    at N = M; precision and recall fall with the dimension. All four depend on N and M. The standard error of a mean
    over points would leave out the choice of the other set, whose balls or members all points share, and be 0.6 to 0.9
    of the deviation over draws of both sets with Gaussian points: `manifold_means` gives the latter.

    Squared distances are matrix products in float64 with their rounding bounded: what it cannot tell apart counts as
    inside, as copies and ties are. A generated point with a coordinate that is nan is in no ball and has none.
    Memory: both sets in float64 and a few arrays of BUDGET numbers. Raises ValueError where a set has no k-th other.
    """
    if min(len(generated), len(reference)) <= max(k, k_density):
        sizes = f"generated has {len(generated)}, reference has {len(reference)}"
        raise ValueError(f"each set must have more than {max(k, k_density)} points for balls to reach so many: {sizes}")
    centre = reference.mean(0, dtype=torch.float64)  # small norms make small roundings
    a, b = generated - centre, reference - centre
    (own,), (radius, wide) = radii(a, k), radii(b, k, k_density)
    precision, density = [], []
    recall, coverage = (torch.zeros(len(b), dtype=torch.bool, device=b.device) for _ in range(2))
    rows = max(1, BUDGET // len(b))
    for part, reach in zip(a.split(rows), own.split(rows), strict=True):
        distance = squared_distances(part, b, -1)
        precision.append((distance <= radius).any(1))
        recall |= (distance <= reach[:, None]).any(0)
        inside = distance <= wide
        density.append(inside.sum(1).double() / k_density)
        coverage |= inside.any(0)
    return Manifold(torch.cat(precision), recall, torch.cat(density), coverage)


def manifold_means(generated: Tensor, reference: Tensor, k: int = 3, k_density: int = 5) -> dict[str, Measured]:
    """The four estimates with standard errors of drawing both sets, from SPLITS random halvings of both.

    An estimate is a mean of what depends on the points nearby, so that its variance goes about as 1 / N: the difference
    of two disjoint halves has four times that of the whole. The root mean square over halvings is halved. A jackknife
    would be 1.5 times too large, as a point left out moves other balls. Of density it is up to a fifth too small in
    tens of dimensions, where the generated points lie in the balls of few reference points.

    The halvings follow torch's random state. Errors are nan below FEWEST points. Time: SPLITS / 2 times the estimates'.
    """
    return by_halves(partial(values_of, k=k, k_density=k_density), generated, reference)


Means = Callable[[Tensor, Tensor], dict[str, float]]


def by_halves(means: Means, generated: Tensor, reference: Tensor) -> dict[str, Measured]:
    """Means of what depends on the points nearby, with standard errors from random halvings: see `manifold_means`."""
    value = means(generated, reference)
    if min(len(generated), len(reference)) < FEWEST:
        return {name: Measured(of, math.nan) for name, of in value.items()}
    square = dict.fromkeys(value, 0.0)
    for _ in range(SPLITS):
        first, second = (means(*half) for half in zip(halves(generated), halves(reference), strict=True))
        for name in value:
            square[name] += (first[name] - second[name]) ** 2 / SPLITS
    return {name: Measured(value[name], math.sqrt(square[name]) / 2) for name in value}


def halves(points: Tensor) -> tuple[Tensor, Tensor]:
    """Two disjoint halves, chosen at random, of equal size."""
    order, size = torch.randperm(len(points), device=points.device), len(points) // 2
    return points[order[:size]], points[order[size : 2 * size]]


def values_of(generated: Tensor, reference: Tensor, k: int, k_density: int) -> dict[str, float]:
    """The four means."""
    found = manifold(generated, reference, k, k_density)._asdict()
    return {name: of_points.double().mean().item() for name, of_points in found.items()}


def radii(points: Tensor, *neighbours: int) -> list[Tensor]:
    """At least the squared distance to the k-th nearest other point, (N, F) -> (N,) for every k."""
    rows = max(1, BUDGET // len(points))
    chunks = zip(points.split(rows), torch.arange(len(points), device=points.device).split(rows), strict=True)
    distances = (bar(squared_distances(part, points, 1), own) for part, own in chunks)
    nearest = torch.cat([distance.topk(max(neighbours), largest=False).values for distance in distances])
    return [nearest[:, k - 1] for k in neighbours]


def squared_distances(a: Tensor, b: Tensor, side: int) -> Tensor:
    """||a_i - b_j||^2 in float64, rounded up (side 1) or down (side -1), (B, F) and (M, F) -> (B, M).

    |a|^2 + |b|^2 - 2 ab errs by less than (2 F + 16) (|a|^2 + |b|^2) u, u = 2^-53: F for the norms, F for the product,
    the rest for centring, factors and sums.
    """
    factor = 1 + side * (a.shape[1] + 8) * torch.finfo(a.dtype).eps
    a2, b2 = (factor * torch.linalg.vector_norm(x, dim=1).square() for x in (a, b))
    return torch.addmm(b2, a, b.T, alpha=-2).add_(a2[:, None])
