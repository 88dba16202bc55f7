"""Nearest neighbours, exact at the speed of float32 matrix products."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from priors import sizes

BUDGET = 2**24
"""Numbers in a chunk's largest array on a CPU (128 MiB in float64)."""

ROUNDINGS = 16
"""Units of rounding in a squared distance besides one a dimension: its points, norms, factors and sums (about 10)."""


class Neighbours(NamedTuple):
    """Every point's nearest reference points: Euclidean distances, float64, and indices, (N,), or (N, k) of k."""

    distance: Tensor
    indices: Tensor

    @property
    def first(self) -> Neighbours:
        """Of k the nearest alone, (N,)."""
        return Neighbours(self.distance[:, 0], self.indices[:, 0])


def nearest(points: Tensor, reference: Tensor, exclude: Tensor | None = None, candidates: int = 8) -> Neighbours:
    """The nearest reference point of every point, (N,): `nearest_few` of one."""
    return nearest_few(points, reference, 1, exclude, candidates).first


@torch.no_grad()
def nearest_few(
    points: Tensor, reference: Tensor, k: int, exclude: Tensor | None = None, candidates: int = 8
) -> Neighbours:
    """The k nearest reference points of every point, nearest first, (N, *shape) and (M, *shape) -> (N, k), as float64
    differences give them.

    Products in float32 bound every distance from below. The candidates, those of a point's lowest bounds, are measured
    in float64 from differences, which puts copies at exactly 0. Where the k-th is not below the last candidate's
    bound, the point is measured against the whole reference: float32 decides the time, never the result. Products in
    TF32 would break the bound.

    exclude: index of one reference point that each point may not take, (N,): itself, where the points are of the
    reference. candidates: how many, besides the first k - 1. Of several at one distance the lowest index counts. All
    distances are nan where a coordinate is. Memory: a float32 copy of the reference and a few arrays of BUDGET numbers.
    Raises ValueError where the reference does not leave k points to take.
    """
    left = len(reference) - (exclude is not None)
    if left < k:
        wanted = "a point" if k == 1 else f"{k} points"
        raise ValueError(
            f"reference must leave {wanted} to take, but has {len(reference)} of which {left} may be taken"
        )
    points, reference = points.flatten(1), reference.flatten(1)
    few = min(k - 1 + candidates, left)
    rows = max(1, sizes.rows(points.device, 1, BUDGET) // (len(reference) + few * reference.shape[1]))
    centre = reference.mean(0, dtype=torch.float64)  # small norms make close bounds
    low = torch.cat([(part - centre).float() for part in reference.split(rows)])
    parts = points.split(rows)
    barred = [None] * len(parts) if exclude is None else exclude.split(rows)
    found = []
    for part, own in zip(parts, barred, strict=True):
        bound = bar(lower_bound((part - centre).float(), low), own)
        found.append(refine(part, reference, k, *bound.topk(few, dim=1, largest=False), own))
    distance, index = (torch.cat(values) for values in zip(*found, strict=True))
    return Neighbours(distance, index)


def lower_bound(a: Tensor, b: Tensor) -> Tensor:
    """At most ||a_i - b_j||^2, whatever float32 rounds: (B, D), (M, D) -> (B, M).

    |a|^2 + |b|^2 - 2 ab errs by less than (D + ROUNDINGS) (|a|^2 + |b|^2) u, u = 2^-24 (the dot product's bound is
    D u |a||b|), and where products underflow by the smallest number for each. Both are taken off the norms.
    """
    roundings, float32 = a.shape[1] + ROUNDINGS, torch.finfo(torch.float32)
    keep, lost = 1 - roundings * float32.eps / 2, 2 * roundings * float32.tiny
    a2, b2 = (keep * torch.linalg.vector_norm(x, dim=1, dtype=torch.float64).square() - lost for x in (a, b))
    return torch.addmm(b2.float(), a, b.T, alpha=-2).add_(a2.float()[:, None])


def bar(distance: Tensor, exclude: Tensor | None) -> Tensor:
    """Distances (B, M), changed in place to infinity at the index that each row may not take."""
    return distance if exclude is None else distance.scatter_(1, exclude[:, None], math.inf)


def refine(
    points: Tensor, reference: Tensor, k: int, bound: Tensor, candidates: Tensor, exclude: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Distance and index of the k nearest, (B, k) each, from candidates (B, C) and their bounds in ascending order."""
    candidates = candidates.sort(1).values
    difference = reference[candidates].double() - points[:, None].double()  # (B, C, D)
    distance, place = least(torch.linalg.vector_norm(difference, dim=2), k)
    index = candidates.gather(1, place)
    last = bound[:, -1]  # infinite where norms overflow
    unsure = ~((distance[:, -1].square() < last) & last.isfinite())
    if unsure.any():
        own = None if exclude is None else exclude[unsure]
        distance[unsure], index[unsure] = least(bar(all_distances(points[unsure], reference), own), k)
    return distance, index


def least(distance: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row in ascending order and their places, of equal ones the first; all nan in a row that
    has one."""
    if k == 1:
        return distance.min(1, keepdim=True)
    smallest, place = distance.sort(dim=1, stable=True)
    missing = distance.isnan().any(1, keepdim=True)
    return smallest[:, :k].masked_fill(missing, math.nan), place[:, :k]


def all_distances(points: Tensor, reference: Tensor) -> Tensor:
    """Every distance in float64 from differences, (B, D), (M, D) -> (B, M), in chunks of the reference."""
    exact, rows = "donot_use_mm_for_euclid_dist", max(1, sizes.rows(points.device, 1, BUDGET) // reference.shape[1])
    parts = reference.split(rows)
    return torch.cat([torch.cdist(points.double(), part.double(), compute_mode=exact) for part in parts], dim=1)
