"""Estimates of one kind over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.estimators.estimate import Estimate


def of_one_kind(seeds: Iterable[Iterable[Estimate]]) -> list[list[Estimate]]:
    """The estimates of all seeds in the groups that may be averaged: of one metric by one estimator."""
    groups: dict[tuple[str, str], list[Estimate]] = {}
    for one in (estimate for of_seed in seeds for estimate in of_seed):
        groups.setdefault((one.metric, str(one.estimator)), []).append(one)
    return list(groups.values())


def over_seeds(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """An estimate's mean, standard deviation and standard error over seeds; within: the root mean square of the errors
    within the runs."""
    first, values = estimates[0], [estimate.value for estimate in estimates]
    count, mean = len(values), sum(values) / len(values)
    errors = [estimate.error for estimate in estimates if estimate.error is not None]
    row = {name: getattr(first, name) for name in ("metric", "direction", "unit")}
    row |= {"estimator": str(first.estimator), "mean": mean, "n": count}
    row["within"] = (sum(error**2 for error in errors) / len(errors)) ** 0.5 if errors else math.nan
    if count > 1:
        std = (sum((value - mean) ** 2 for value in values) / (count - 1)) ** 0.5
        row |= {"std": std, "stderr": std / count**0.5}
    return row
