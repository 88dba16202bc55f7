"""How samples cover the data's manifold and keep to it, both drawn as balls to the k-th neighbour around features."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.metrics.neighbours import BUDGET, bar


class Manifold(NamedTuple):
    """What the four figures are the means of, one value a point: `mean` of `latent` gives each with a standard error.

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
    at N = M; precision and recall fall with the dimension. All four depend on N and M. A standard error over points
    leaves out the choice of the other set, whose balls or members all points share: of Gaussian points it is 0.6 to
    0.9 of the deviation over draws of both sets.

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
