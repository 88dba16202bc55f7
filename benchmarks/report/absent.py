"""What was not computed, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.common.rows import Row
from benchmarks.report.rows import having
from benchmarks.tables.notes import text

STATUSES = ("failed", "diverged", "unsupported", "not-computed")


@dataclass(frozen=True)
class Absent:
    """Each of these methods lacks each of these metrics on each of these data sets."""

    status: str
    reason: str
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    metrics: tuple[str, ...]


def absent(frame: pd.DataFrame) -> list[Absent]:
    """The rows without an estimate by status and reason; what several cells lack alike is said once."""
    rows = [(_why(row), row) for status in STATUSES for row in having(frame, status)]
    metrics = fold(((why, row["dataset"], row["method"]), _metric(row)) for why, row in rows)
    methods = fold(((why, dataset, lacked), method) for (why, dataset, method), lacked in metrics.items())
    datasets = fold(((why, lacked, names), dataset) for (why, dataset, lacked), names in methods.items())
    return [
        Absent(status, reason, where, names, lacked) for ((status, reason), lacked, names), where in datasets.items()
    ]


def fold(pairs: Iterable[tuple[Any, str]]) -> dict[Any, tuple[str, ...]]:
    """All that stands by a key, each once, in its order."""
    found: dict[Any, dict[str, None]] = {}
    for key, item in pairs:
        found.setdefault(key, {})[item] = None
    return {key: tuple(items) for key, items in found.items()}


def _why(row: Row) -> tuple[str, str]:
    return row["status"], text(row["remark"]) or "no reason is given"


def _metric(row: Row) -> str:
    return " ".join(filter(None, (row["metric"], text(row["estimator"]))))
