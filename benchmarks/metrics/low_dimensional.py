"""Reconstructions, and where draws of the prior decode to, as distances between points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.estimators.estimate import Estimate, Remark, remarks
from benchmarks.estimators.estimator import Estimator
from benchmarks.estimators.frechet import frechet, moments
from benchmarks.estimators.latent import Measured, Quantile, mean, moved, quantile, share
from benchmarks.estimators.neighbours import nearest
from benchmarks.metrics.base import Deciding, image_estimate, measured_estimate, metric
from benchmarks.metrics.evaluated import Evaluated, in_chunks
from priors.base import Unsupported

DRAWN, LOW = 100_000, 1_000
"""Draws of the prior that `off_manifold` looks at, and those of the lowest posterior among them."""

FEW = 16
"""Most dimensions of data in which a distance to the nearest point says whether another one is off the manifold."""


@metric("squared_error")
def squared_error(evaluated: Evaluated) -> list[Estimate]:
    """||x - E[x|z]||^2 at one z ~ q(z|x) a test image: the reconstruction on a scale that all models share."""
    errors, done = [], 0
    for z in in_chunks(evaluated.q.sample()):
        x = evaluated.data.test[done : done + len(z)]
        errors.append((x - evaluated.model.decode(z)).square().flatten(1).sum(1))
        done += len(z)
    return [image_estimate("squared_error", Estimator("one-draw"), torch.cat(errors).double(), "lower", "none")]


@metric("fd_data", draws=True, deciding=Deciding("samples", "fd_data", "draws"))
def fd_data(evaluated: Evaluated) -> list[Estimate]:
    """Frechet distance of generated points to the test points in the data's own space, for data that are no pictures.

    The law of E[x|z], z ~ p, against the test points' (FlexAE, figures 2 and 3); `-floor` is as many training points'.
    """
    if evaluated.data.of_pictures:
        raise Unsupported("pixels are no space to compare pictures in: use fid or fd_classifier")
    reference = moments(evaluated.test.flatten(1))
    distance, floor = (frechet(moments(x.flatten(1)), reference) for x in (evaluated.generated, evaluated.training[0]))
    how = Estimator("draws", draws=(evaluated.count,))
    return [
        Estimate("fd_data", how, distance, "none", "lower"),
        Estimate("fd_data", replace(how, of="floor"), floor, "none", "none", remarks=remarks("of training points")),
    ]


@metric(
    "off_manifold",
    draws=True,
    rows=("off_manifold", "manifold_distance"),
    deciding=Deciding("samples", "off_manifold", "prior"),
)
def off_manifold(evaluated: Evaluated) -> list[Estimate]:
    """Draws of the prior that decode away from the data: of all, of those with the lowest q(z), and latent pockets.

    A draw is off the manifold where E[x|z] is further from the training points than every test point is. Rows:
    `prior`, all draws; `low-posterior`, the LOW of DRAWN draws with the lowest ln q(z) (dpVAE, section 4.1); `pockets`,
    the share of all draws that are off the manifold and where ln q(z) is lower than at 99 % of the test codes.

    Errors are over draws and codes, also of which are the lowest, for these data and the distance that they set.
    """
    if math.prod(evaluated.data.shape) > FEW:
        raise Unsupported(f"distances to the data tell little in more than {FEW} dimensions: use figures of samples")
    x = evaluated.data.train[:]
    limit = nearest(evaluated.data.test[:], x).distance.max().item()
    z, codes = evaluated.prior.sample(DRAWN), evaluated.q.sample()
    log_q, at_codes = (evaluated.aggregate.log_prob_in_chunks(points) for points in (z, codes))
    distance = torch.cat([nearest(evaluated.model.decode(part), x).distance for part in in_chunks(z)])
    off, order = distance > limit, log_q.argsort()
    told = Remark("further than {}", (f"{limit:.3g}",))
    shares = {
        "prior": share(off),
        "low-posterior": of_lowest(lambda first: share(off[first]), order),
        "pockets": below(lambda limit: share(off & (log_q < limit)), quantile(at_codes, 0.01)),
    }
    distances = {"prior": mean(distance), "low-posterior": of_lowest(lambda first: mean(distance[first]), order)}
    return [
        *(measured_estimate("off_manifold", Estimator(of), one, "lower", "share", told) for of, one in shares.items()),
        *(measured_estimate("manifold_distance", Estimator(of), one, "lower", "none") for of, one in distances.items()),
    ]


def of_lowest(estimate: Callable[[Tensor], Measured], order: Tensor) -> Measured:
    """An estimate of the first LOW of the draws in `order`, (n,), with the error of which draws these are.

    Of n fresh draws as many as LOW (1 - LOW/n) +- its root would lie below the quantile that the LOW-th one estimates.
    """
    count = round(math.sqrt(LOW * (1 - LOW / len(order))))
    return moved(estimate(order[:LOW]), estimate(order[: LOW - count]).value, estimate(order[: LOW + count]).value)


def below(estimate: Callable[[float], Measured], limit: Quantile) -> Measured:
    """An estimate of what lies below a quantile of draws, with the quantile's error."""
    return moved(estimate(limit.value), estimate(limit.low).value, estimate(limit.high).value)
