"""Precision and recall of distributions."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class PrecisionRecall(NamedTuple):
    """Precision: how much of the evaluated law the reference has. Recall: how much of the reference it has."""

    precision: float
    recall: float


def precision_recall(
    evaluated: Tensor, reference: Tensor, seed: int, runs: int = 10, clusters: int = 20, angles: int = 1001
) -> PrecisionRecall:
    """(max F_1/8, max F_8) of the PRD curve over runs of k-means, (N, *shape) each (Sajjadi et al. 2018).

    The curve is the mean of the runs' curves, each from the histograms over the clusters of both sets together.
    Precision is the generated samples' quality, recall their variety, where these are `evaluated` and the data
    `reference`; the released code's README passes them the other way round, which swaps the two estimates.
    Not improved precision and recall (Kynkaanniemi et al. 2019), which nearest neighbours define.
    Raises ValueError where the sizes differ, since the histograms' noise counts as a difference of the laws.
    """
    if len(evaluated) != len(reference):
        sizes = f"evaluated has {len(evaluated)}, reference has {len(reference)}"
        raise ValueError(f"the curve depends on the sets' sizes, which must be equal: {sizes}")
    random = np.random.RandomState(np.random.MT19937(seed))  # unlike RandomState(seed), it takes a seed of any length
    curves = [prd(*histograms(evaluated, reference, clusters, random), angles) for _ in range(runs)]
    precision, recall = (torch.stack(values).mean(0) for values in zip(*curves, strict=True))
    return PrecisionRecall(*(f_beta(precision, recall, beta).max().item() for beta in (1 / 8, 8)))


def prd(p_eval: Tensor, p_ref: Tensor, angles: int = 1001) -> tuple[Tensor, Tensor]:
    """The PRD curve of histograms (K,) that sum to 1: precision alpha and recall beta, (angles,) each.

    alpha = sum_k min(lambda p_ref, p_eval), beta = sum_k min(p_ref, p_eval / lambda) = alpha / lambda, at
    lambda = tan(pi/2 i/(angles + 1)), i = 1, ..., angles (Sajjadi et al. 2018). The slopes are their own
    inverses, so exchanging the arguments exchanges the two and reverses the curve.
    """
    step = torch.arange(1, angles + 1, dtype=p_eval.dtype, device=p_eval.device)
    slope = (math.pi / 2 * step / (angles + 1)).tan()
    precision = torch.minimum(slope[:, None] * p_ref, p_eval).sum(1)
    return precision, precision / slope


def f_beta(precision: Tensor, recall: Tensor, beta: float) -> Tensor:
    """(1 + beta^2) P R / (beta^2 P + R), 0 where both are 0: recall counts beta times as much as precision."""
    weighted = beta**2 * precision + recall
    return torch.where(weighted > 0, (1 + beta**2) * precision * recall / weighted, 0.0)


def histograms(
    evaluated: Tensor, reference: Tensor, clusters: int, random: np.random.RandomState
) -> tuple[Tensor, Tensor]:
    """Shares of either set in the clusters of both together, (clusters,) each, float64."""
    from sklearn.cluster import MiniBatchKMeans

    points = torch.cat([evaluated, reference]).flatten(1).detach().cpu().numpy()
    labels = MiniBatchKMeans(clusters, n_init=10, random_state=random).fit(points).labels_
    parts = torch.as_tensor(labels).long().split([len(evaluated), len(reference)])
    evaluated_share, reference_share = (part.bincount(minlength=clusters).double() / len(part) for part in parts)
    return evaluated_share, reference_share
