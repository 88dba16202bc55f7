"""Reconstructions, and where draws of the prior decode to, as distances between points."""

from __future__ import annotations

import math

import torch

from benchmarks.evaluation.metric import image_figure, mean_figure, metric
from benchmarks.evaluation.subject import Subject, in_chunks
from benchmarks.metrics.figure import Figure
from benchmarks.metrics.frechet import frechet, moments
from benchmarks.metrics.neighbours import nearest
from priors.base import Unsupported

DRAWN, LOW = 100_000, 1_000
"""Draws of the prior that `off_manifold` looks at, and those of the lowest posterior among them."""

FEW = 16
"""Most dimensions of data in which a distance to the nearest point says whether another one is off the manifold."""


@metric("squared_error")
def squared_error(subject: Subject) -> list[Figure]:
    """||x - E[x|z]||^2 at one z ~ q(z|x) a test image: the reconstruction on a scale that all models share."""
    errors, done = [], 0
    for z in in_chunks(subject.q.sample()):
        x = subject.data.test[done : done + len(z)]
        errors.append((x - subject.model.decode(z)).square().flatten(1).sum(1))
        done += len(z)
    return [image_figure("squared_error", "one-draw", torch.cat(errors).double(), "lower", "none")]


@metric("fd_data", draws=True)
def fd_data(subject: Subject) -> list[Figure]:
    """Frechet distance of generated points to the test points in the data's own space, for data that are no pictures.

    The law of E[x|z], z ~ p, against the test points' (FlexAE, figures 2 and 3); `-floor` is as many training points'.
    """
    if subject.data.of_pictures:
        raise Unsupported("pixels are no space to compare pictures in: use fid or fd_classifier")
    reference = moments(subject.test.flatten(1))
    distance, floor = (frechet(moments(x.flatten(1)), reference) for x in (subject.generated, subject.training[0]))
    estimator = f"draws-{subject.count}"
    return [
        Figure("fd_data", estimator, distance, "none", "lower"),
        Figure("fd_data", f"{estimator}-floor", floor, "none", "none", note="of training points"),
    ]


@metric("off_manifold", draws=True)
def off_manifold(subject: Subject) -> list[Figure]:
    """Draws of the prior that decode away from the data: of all, of those with the lowest q(z), and latent pockets.

    A draw is off the manifold where E[x|z] is further from the training points than every test point is. Rows:
    `prior`, all draws; `low-posterior`, the LOW of DRAWN draws with the lowest ln q(z) (dpVAE, section 4.1); `pockets`,
    the share of all draws that are off the manifold and where ln q(z) is lower than at 99 % of the test codes.
    """
    if math.prod(subject.data.shape) > FEW:
        raise Unsupported(f"distances to the data tell little in more than {FEW} dimensions: use figures of samples")
    x = subject.data.train[:]
    limit = nearest(subject.data.test[:], x).distance.max().item()
    z, codes = subject.prior.sample(DRAWN), subject.q.sample()
    log_q, at_codes = (subject.aggregate.log_prob_in_chunks(points) for points in (z, codes))
    distance = torch.cat([nearest(subject.model.decode(part), x).distance for part in in_chunks(z)])
    off = distance > limit
    lowest, note = log_q.argsort()[:LOW], f"further than {limit:.3g}"
    pockets = off & (log_q < at_codes.quantile(0.01))
    return [
        mean_figure("off_manifold", "prior", off.double(), "lower", "share", note),
        mean_figure("off_manifold", "low-posterior", off[lowest].double(), "lower", "share", note),
        mean_figure("off_manifold", "pockets", pockets.double(), "lower", "share", note),
        mean_figure("manifold_distance", "prior", distance, "lower", "none"),
        mean_figure("manifold_distance", "low-posterior", distance[lowest], "lower", "none"),
    ]
