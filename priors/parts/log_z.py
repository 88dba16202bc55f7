"""Estimates of ln Z: a value with its error and diagnostics, made of log weights, and the choice between two."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from priors.parts.pareto import RELIABLE, pareto_k

SHARE = 0.01
"""The least share of the mixture's draws that must count for its estimate to be called one."""

GROUPS = 16
"""The number of independent groups of particles, whose spread gives the annealed estimate's error."""

WIDER = 1.0875
"""Student's 0.975 quantile of 15 degrees of freedom over the normal's: 1.96 errors are then a 95 % interval."""

AGREEING = 0.5
"""The least share of the groups that must count for the annealed estimate to be called one."""

FAR = 4.0
"""Errors of their difference up to which two estimates agree: beyond, the lower one has missed a part of Z."""


class LogZ(NamedTuple):
    """An estimate of ln Z in nats, from n draws of weights w.

    error: its standard error, in nats. effective: the share of the draws that count, (sum w)^2 / (n sum w^2).
    pareto_k: the shape k-hat of the weights' tail (`pareto`), 0 where there are too few draws for one.
    least: the effective share from which on it is called an estimate.
    """

    value: float
    error: float
    effective: float
    pareto_k: float = 0.0
    least: float = SHARE

    @property
    def lower(self) -> float:
        """Two errors below: of two estimates that are both unbiased for Z the one to be kept has the larger."""
        return self.value - 2 * self.error

    @property
    def reliable(self) -> bool:
        """Do as many of the draws count, and is their tail short enough for its variance to be finite?"""
        return self.effective >= self.least and self.pareto_k <= RELIABLE


class Estimates(NamedTuple):
    """ln Z by importance sampling from the defensive mixture, and by sequential Monte Carlo from N(0, I)."""

    mixture: LogZ
    annealed: LogZ

    @property
    def kept(self) -> LogZ:
        """The estimate of the larger lower end, value - 2 errors; the other where that one is not reliable, the other
        is, and they agree."""
        best, other = sorted(self, key=lambda one: one.lower, reverse=True)
        return other if other.reliable and not best.reliable and self.agree else best

    @property
    def agree(self) -> bool:
        """Are the two no further apart than FAR of their errors?"""
        a, b = self
        return abs(a.value - b.value) <= FAR * math.hypot(a.error, b.error)


def log_z_of(*strata: Tensor) -> LogZ:
    """ln of the mean weight from log weights, (n_k,) each: equally probable strata of one size, or one set of draws.

    The error is the delta method's, with the variance within strata alone. The logarithm of an unbiased estimate is
    biased by about -error^2 / 2, which is not corrected.
    """
    largest = torch.cat(strata).max()
    weights = [(stratum.double() - largest).exp() for stratum in strata]
    mean = torch.stack([w.mean() for w in weights]).mean()
    variance = torch.stack([w.var() / len(w) for w in weights]).sum() / len(weights) ** 2
    w = torch.cat(weights)
    effective = w.sum().square() / (len(w) * w.square().sum())
    tail = pareto_k(torch.cat(strata).double()[None]).nan_to_num(0.0)
    return LogZ((largest + mean.log()).item(), (variance.sqrt() / mean).item(), effective.item(), tail.item())


def by_groups(log_z: Tensor) -> LogZ:
    """ln of the mean over GROUPS independent groups of particles, (GROUPS,)."""
    found = log_z_of(log_z)
    return found._replace(error=WIDER * found.error, pareto_k=0.0, least=AGREEING)
