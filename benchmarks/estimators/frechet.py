"""The Frechet distance between the normal laws that fit two sets of features: the formula under FID."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean (F,) and covariance (F, F), float64, of `number` points; the covariance is the unbiased one."""

    mean: Tensor
    covariance: Tensor
    number: int


@torch.no_grad()
def moments(points: Tensor, chunk: int = 4096) -> Moments:
    """Mean m and covariance sum_i (x_i - m)(x_i - m)^T / (N - 1) of features (N, F), as `numpy.cov` has it.

    The mean is taken first, so that a large one does not cancel digits of the covariance.
    chunk: points in float64 at a time. Raises ValueError below two points.
    """
    count, parts = len(points), points.split(chunk)
    if count < 2:
        raise ValueError(f"points must be at least 2 to have a covariance, not {count}")
    mean = torch.stack([part.sum(0, dtype=torch.float64) for part in parts]).sum(0) / count
    scatter = mean.new_zeros(len(mean), len(mean))
    for part in parts:
        centred = part - mean
        scatter.addmm_(centred.T, centred)
    return Moments(mean, scatter / (count - 1), count)


@torch.no_grad()
def frechet(a: Moments, b: Moments) -> float:
    """||m_a - m_b||^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2), the squared distance (Dowson and Landau 1982).

    With a root A = R R^T the last trace is the sum of the roots of the eigenvalues of R^T B R, which is symmetric and
    as small as A's rank. Covariances of low rank, as of fewer points than features, so are no special case. Equal
    moments are at 0 up to about 1e-8 of their traces on either side, the closer the fewer digits their eigenvalues
    span. nan where a coordinate is.

    Of features of the Inception network this is FID (Heusel et al. 2017). It is biased upwards, and the bias falls
    with the numbers of points: only estimates of equal `number` compare, and two samples of one law are not at 0.
    """
    shift = (a.mean - b.mean).square().sum()
    if not shift.isfinite():
        return math.nan
    r = root(a.covariance)
    shared = torch.linalg.eigvalsh(r.T @ b.covariance @ r).clamp(min=0).sqrt().sum()
    return (shift + a.covariance.trace() + b.covariance.trace() - 2 * shared).item()


def root(covariance: Tensor) -> Tensor:
    """R with R R^T = C, (F, F) -> (F, rank).

    Eigenvalues that rounding alone may have made are left out: their roots would be eight digits larger.
    """
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return vectors[:, kept] * values[kept].sqrt()
