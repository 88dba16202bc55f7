"""How likely training and test points are under a mixture around generated ones: whether these repeat the first."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from benchmarks.estimators.latent import Measured
from benchmarks.estimators.neighbours import nearest

STEPS = 50
"""Of expectation maximisation, each of which raises the training points' likelihood."""

LEAST = 0.01
"""Smallest variance, over a coordinate's share of the median squared distance between nearest training points: what a
copy gains is bounded by it."""

SMALLEST = 1e-12
"""The same where all training points are one."""

CENTRES, PAIRS = 1024, 2**24
"""Generated points that the mixture is around, at most, and pairs with training points (128 MiB in float64)."""


@torch.no_grad()
def likelihood_gap(generated: Tensor, train: Tensor, test: Tensor) -> Measured:
    """mean ln p(train) - mean ln p(test) in nats, p(x) = 1/N sum_j N(x | g_j, s_j^2 I) (Jiralerspong et al. 2023).

    Features (N, F), (M, F), (L, F), scaled to mean 0 and variance 1 of the training points; a coordinate that is the
    same in all of these keeps its unit. The variances s_j^2 have the likelihood of the training points raised by STEPS
    of expectation maximisation from a common one:

        s_j^2 = sum_i r_ij |x_i - g_j|^2 / (F sum_i r_ij),   r_ij = N(x_i | g_j, s_j^2 I) / sum_l N(x_i | g_l, s_l^2 I)

    (the paper descends a gradient), and never below LEAST. Around a copy the variance shrinks, which makes the training
    points likelier than test points, the more copies the larger the gap. It is above 0 for new points too, since the
    variances are fitted to the training points: read it beside the gap of points that are new. Only the first CENTRES
    generated and PAIRS / CENTRES training points take part. The error is that of drawing the training and test points
    for this mixture. Raises ValueError below two training points.
    """
    train, generated = train[: PAIRS // CENTRES], generated[:CENTRES]
    mean, scale = train.mean(0, dtype=torch.float64), spread(train)
    g, x, y = ((points - mean) / scale for points in (generated, train, test))
    floor = max(LEAST * spacing(x) / x.shape[1], SMALLEST)
    variance = fitted(torch.cdist(x, g).square(), x.shape[1], floor)
    seen, unseen = (joint(torch.cdist(one, g).square(), variance, x.shape[1]).logsumexp(1) for one in (x, y))
    error = math.sqrt(seen.var().item() / len(seen) + unseen.var().item() / len(unseen))
    return Measured((seen.mean() - unseen.mean()).item(), error)


def spacing(points: Tensor) -> float:
    """The median squared distance of points (M, F) to the nearest other one; where most are met twice, of those that
    differ."""
    own = torch.arange(len(points), device=points.device)
    found = nearest(points, points, exclude=own).distance.square().median().item()
    distinct = points if found else points.unique(dim=0)
    return spacing(distinct) if 1 < len(distinct) < len(points) else found


def spread(points: Tensor) -> Tensor:
    """The standard deviations of coordinates, 1 where that is no more than float32 rounds, (M, F) -> (F,), float64."""
    deviation, size = points.double().std(0), points.double().abs().amax(0)
    return torch.where(deviation > torch.finfo(torch.float32).eps * size, deviation, 1.0)


def fitted(square: Tensor, dimensions: int, floor: float) -> Tensor:
    """Variances (N,) from squared distances of training points to centres, (M, N). A centre that no point is of keeps
    what it has."""
    variance = (square.min(1).values.mean() / dimensions).clamp_min(floor).expand(square.shape[1])
    for _ in range(STEPS):
        weight = joint(square, variance, dimensions).softmax(1)
        mass = weight.sum(0)
        raised = (weight * square).sum(0) / (dimensions * mass)
        variance = torch.where(mass > 1e-9, raised, variance).clamp_min(floor)
    return variance


def joint(square: Tensor, variance: Tensor, dimensions: int) -> Tensor:
    """ln 1/N N(x_i | g_j, s_j^2 I) in nats, (M, N)."""
    constant = 0.5 * dimensions * (2 * math.pi * variance).log() + math.log(square.shape[1])
    return -0.5 * square / variance - constant
