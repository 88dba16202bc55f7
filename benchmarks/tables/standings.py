"""Who is best among the methods of a data set, and what tells the others from it: a row's `standing` and its test."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.estimators.estimator import Estimator
from benchmarks.statistics import paired

COLUMNS = (
    *("standing", "against", "difference", "difference_stderr", "difference_images"),
    *("pairs", "p", "detectable"),
)
"""standing: `paired.Comparison`'s verdict and note. against: the method that the row is tested against, over `pairs`
seeds; `difference` is the row's less that one's, with its standard errors over seeds and over images, and `detectable`
what the test would have shown."""

PARTS = ("standing_label", "standing_reason")
"""`standing` in its parts: the verdict, and the note on it."""

NUMBERS = COLUMNS[2:]

ALIKE = ("dataset", "metric", "estimator", "direction", "protocol")
"""What the estimates that are held against each other share."""

Row = dict[str, Any]
Images = Callable[[], np.ndarray | None]


def set_standings(rows: Iterable[Row], seeds: int) -> None:
    """Adds COLUMNS to the rows that are ranked, by `paired.compare`: only estimates of one metric, estimator and
    protocol are held against each other, and neither trials nor what is unreliable.

    seeds: those that the suite asks for, with which a method may be the best.
    """
    groups: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        if ranked(row):
            groups.setdefault(tuple(row[name] for name in ALIKE), {})[row["method"]] = row
    for group in groups.values():
        values = {method: row["by seed"] for method, row in group.items()}
        found = paired.compare(values, next(iter(group.values()))["direction"], seeds) if len(group) > 1 else {}
        for method, one in found.items():
            group[method] |= columns(method, one, group)


def ranked(row: Row) -> bool:
    """Is the row's estimate one that tells which method is better?"""
    compared = row["status"] == "ok" and row["direction"] != "none" and row["compared"]
    return bool(compared) and Estimator.parse(row["estimator"]).reliable


def columns(method: str, one: paired.Comparison, group: Mapping[str, Row]) -> Row:
    """COLUMNS and PARTS of a method's row in its group; of the best, which is not tested, the standing alone."""
    standing = {"standing_label": one.verdict, "standing_reason": one.note}
    standing["standing"] = "; ".join(filter(None, standing.values()))
    if not one.against:
        return standing
    images = error_over_images(group[method]["images by seed"], group[one.against]["images by seed"])
    values = (one.against, one.difference, one.error, images, one.n, one.p, one.detectable)
    return standing | dict(zip(COLUMNS[1:], values, strict=True))


def error_over_images(one: Mapping[int, Images], other: Mapping[int, Images]) -> float:
    """The standard error over images of two methods' difference (`paired.paired_images`), averaged over the seeds in
    which both have kept their estimates' values image by image; nan where there are none.

    Seeds share the test images, so that more of them make it no smaller: it tells what other images might answer.
    """
    pairs = ((one[seed](), other[seed]()) for seed in sorted({*one} & {*other}))
    kept = [(a, b) for a, b in pairs if a is not None and b is not None and a.shape == b.shape]
    errors = [paired.paired_images(a, b).error for a, b in kept if np.isfinite(a - b).all()]
    return sum(errors) / len(errors) if errors else math.nan
