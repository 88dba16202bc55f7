"""Comparisons of methods over data sets: Friedman's test, critical differences and the groups that they leave.

A data set is the unit of inference (Demsar 2006, JMLR 7): a score is a method's mean over seeds on one data set.
Two methods over data sets are compared by `stats.wilcoxon`. Ranks say nothing of how large differences are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from benchmarks.estimators.estimate import Direction
from benchmarks.statistics.paired import LEVEL, sign


class Friedman(NamedTuple):
    """Friedman's test: average ranks, (k,), 1 the best; chi^2; F and its p; data sets used, and rows left out."""

    average_ranks: np.ndarray
    chi2: float
    f: float
    p: float
    datasets: int
    left_out: tuple[int, ...]


def friedman(scores: ArrayLike, direction: Direction) -> Friedman:
    """Do k methods rank alike over N data sets? scores: (N, k); a data set where one is nan (missing) is left out.

    chi^2 = 12 N / (k (k + 1)) sum_j (R_j - (k + 1) / 2)^2 of the average ranks R_j, corrected for ties, which share
    their mean rank; F = (N - 1) chi^2 / (N (k - 1) - chi^2) with k - 1 and (k - 1)(N - 1) degrees of freedom (Iman and
    Davenport 1980), since chi^2's own law is conservative. F's law too is for many data sets; p is therefore not let
    below (k!)^(1-N), the smallest that permuting the methods within data sets gives.
    Raises ValueError below 2 complete data sets or 3 methods.
    """
    scores = np.asarray(scores, dtype=float)
    missing = np.isnan(scores).any(axis=1)
    datasets, methods = scores[~missing].shape
    if datasets < 2 or methods < 3:
        raise ValueError(f"scores must be of 2 complete data sets and 3 methods at least, not of {datasets}, {methods}")
    ranks = scipy.stats.rankdata(-sign(direction) * scores[~missing], axis=1)
    chi2, f = statistics(ranks - (methods + 1) / 2)
    p = scipy.stats.f.sf(f, methods - 1, (methods - 1) * (datasets - 1)).item()
    least = math.exp((1 - datasets) * math.lgamma(methods + 1))
    return Friedman(ranks.mean(axis=0), chi2, f, max(p, least), datasets, tuple(np.flatnonzero(missing).tolist()))


def statistics(centred: np.ndarray) -> tuple[float, float]:
    """chi^2 and F of centred ranks, (N, k): an analysis of variance of ranks. 0 where every data set ties all methods.

    Ranks are halves of whole numbers, so that sums are exact and full agreement makes F infinite, not nearly so.
    """
    datasets, methods = centred.shape
    total, between = (centred**2).sum().item(), (centred.sum(axis=0) ** 2).sum().item()
    if total == 0:
        return 0.0, 0.0
    within = datasets * total - between
    return (methods - 1) * between / total, (datasets - 1) * between / within if within else math.inf


def critical_difference(methods: int, datasets: int, level: float = LEVEL) -> float:
    """q sqrt(k (k + 1) / (6 N)): average ranks at least this far apart differ (Nemenyi 1963, as in Demsar 2006).

    q is the studentised range's upper quantile, infinite degrees of freedom, over sqrt 2; it holds all k (k - 1) / 2
    pairs together. It follows a Friedman test that rejects.
    """
    q = scipy.stats.studentized_range.ppf(1 - level, methods, np.inf).item() / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def cliques(average_ranks: ArrayLike, difference: float) -> list[tuple[int, ...]]:
    """Maximal groups, of two methods or more, whose average ranks differ by less than the critical `difference`.

    The bars of a critical-difference diagram, as indices of methods, best first. Groups overlap: a method may be in
    one with each of two that are in none together.
    """
    order = np.argsort(average_ranks, kind="stable")
    ranks = np.asarray(average_ranks, dtype=float)[order]
    ends = np.searchsorted(ranks, ranks + difference).tolist()  # the first rank too far from each
    runs = zip(range(len(ends)), ends, [0, *ends], strict=False)
    return [tuple(order[start:end].tolist()) for start, end, before in runs if end > max(before, start + 1)]
