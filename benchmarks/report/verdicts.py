"""Our estimates beside the papers'."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from benchmarks.common.rows import Row, records
from benchmarks.config.published import VERDICTS
from benchmarks.report.rows import Number, count, exact, having, mean
from benchmarks.tables.console import published_value
from benchmarks.tables.notes import text


@dataclass(frozen=True)
class Verdict:
    """One of our estimates beside the paper's. reason: why the two cannot be compared."""

    dataset: str
    metric: str
    estimator: str
    method: str
    mean: Number
    error: Number
    n: Number
    published: Number
    source: str
    deviation: Number
    label: str
    reason: str


@dataclass(frozen=True)
class Verdicts:
    """All of a suite. alone: how many of a paper's numbers have none of ours beside them."""

    every: tuple[Verdict, ...]
    alone: int

    @property
    def reasons(self) -> bool:
        """Whether any has one."""
        return any(one.reason for one in self.every)

    @property
    def counts(self) -> dict[str, int]:
        """Of all that a verdict can be."""
        found = Counter(one.label for one in self.every)
        return {label: found[label] for label in VERDICTS}


def verdicts(frame: pd.DataFrame) -> Verdicts:
    """Those of the rows that have any."""
    judged = records(frame[frame["verdict"].notna()])
    return Verdicts(tuple(map(_verdict, judged)), len(having(frame, "published")))


def _verdict(row: Row) -> Verdict:
    deviation: str = "" if pd.isna(row["deviation"]) else f"{row['deviation']:+.1f}"
    what = (row["dataset"], row["metric"], text(row["estimator"]), row["method"])
    paper = Number(published_value(row), exact(row["published"]))
    source, apart = text(row["published_source"]), Number(deviation, exact(row["deviation"]))
    return Verdict(
        *what, *mean(row), count(row), paper, source, apart, text(row["verdict_label"]), text(row["verdict_reason"])
    )
