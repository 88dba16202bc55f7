"""Which of a table's estimates answer the questions that one asks of it first."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.common.rows import Row
from benchmarks.estimators.estimator import Estimator
from benchmarks.metrics import METRICS
from benchmarks.metrics.base import QUESTIONS, Deciding
from benchmarks.tables.console import how


def answering(rows: Sequence[Row]) -> dict[str, tuple[str, Estimator]]:
    """(the row's name, its estimator but for what a prior's density makes of it) by the question of QUESTIONS, for
    those that the rows answer."""
    known = [(row["metric"], how(row)) for row in rows if row["status"] == "ok"]
    found: dict[str, tuple[str, Estimator]] = {}
    for one in declared():
        if fitting := [how for row, how in known if one.fits(row, how)]:
            found.setdefault(one.question, (one.row, max(fitting, key=lambda how: how.draws).base))
    return {question: found[question] for question in QUESTIONS if question in found}


def declared() -> list[Deciding]:
    """What the metrics say of themselves, those of the lowest rank first."""
    return sorted((one.deciding for one in METRICS.values() if one.deciding), key=lambda one: one.rank)
