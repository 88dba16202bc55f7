"""Which estimates stand across a table for a paper: those that a person names, or as many as fit a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from benchmarks.common.errors import unknown
from benchmarks.common.rows import Row
from benchmarks.estimators.estimator import Estimator
from benchmarks.metrics import METRICS
from benchmarks.tables.answering import answering
from benchmarks.tables.console import how
from benchmarks.tables.notes import text

FIT = 4
"""Columns of numbers that fit a page beside the methods' names, those of a paper among them."""


@dataclass(frozen=True)
class Column:
    """A metric by one estimator, or with `published` a paper's numbers beside these.

    how: an estimator. Where it says nothing of the prior's density, estimates that differ in that alone (`+estimate`)
    stand in the same column. Empty for numbers of a paper beside which none of ours stands.
    """

    metric: str
    how: str
    published: bool = False

    def holds(self, row: Row) -> bool:
        """Is a number of the row one of this column's?"""
        if row["metric"] != self.metric:
            return False
        if self.published and row["status"] == "published":
            return True
        given = text(row["estimator"])
        return row["status"] == "ok" and self.how in (given, base(given))

    def lacks(self, row: Row) -> bool:
        """Does the row say why there is no estimate in this column?"""
        if row["status"] in ("ok", "published"):
            return False
        made = METRICS.get(row["metric"])
        return row["metric"] == self.metric or bool(made and made.makes(self.metric, Estimator.parse(self.how)))


def base(estimator: str) -> str:
    """The estimator without what a prior's density makes of it."""
    return str(Estimator.parse(estimator).base)


def columns(rows: Sequence[Row], metrics: Sequence[str] = (), estimators: Sequence[str] = ()) -> list[Column]:
    """Those that are named, each with a paper's numbers beside it; without names `deciding`.

    metrics: names of rows, or of metrics as suites have them, which stand for all rows that these make. estimators: in
    full, without what the density adds, or their kind alone (`is`). Where none is named a row has one column.
    UsageError with the near name for what the table does not have.
    """
    found = [row for row in rows if row["status"] == "ok"]
    if not metrics and not estimators:
        return deciding(rows)
    if metrics:
        named = [row for name in metrics for row in of_metric(name, rows)]
        found = [row for row in named if row["status"] == "ok"]
        alone = [row["metric"] for row in named if row["status"] == "published"]
    else:
        alone = []
    ours = [one for name in estimators for one in by_estimator(name, found)] if estimators else one_each(found)
    order = list(dict.fromkeys(row["metric"] for row in found)) if metrics else []
    ours.sort(key=lambda one: order.index(one.metric) if order else 0)
    theirs = [Column(name, "", True) for name in dict.fromkeys(alone) if name not in {one.metric for one in ours}]
    return [*with_papers(ours, rows), *theirs]


def of_metric(name: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of that name, or else those that the metric of that name makes."""
    numbers = [row for row in rows if row["status"] in ("ok", "published")]
    made = METRICS.get(name)
    own = [row for row in numbers if row["metric"] == name]
    if not own and made:
        own = [row for row in numbers if made.makes(row["metric"], how(row))]
    if not own and name not in {row["metric"] for row in rows}:
        known = [one for one in METRICS if any(METRICS[one].makes(row["metric"], how(row)) for row in numbers)]
        raise unknown("metric", name, {*(row["metric"] for row in numbers), *known})
    return own


def by_estimator(name: str, rows: Sequence[Row]) -> list[Column]:
    """A column for each row's name that has this estimator, or estimators of this kind."""
    given = list(dict.fromkeys((row["metric"], text(row["estimator"])) for row in rows))
    exact = [Column(*key) for key in given if key[1] == name or base(key[1]) == name]
    if exact:
        return list(dict.fromkeys(Column(one.metric, name) for one in exact))
    kind = [Column(metric, base(one)) for metric, one in given if Estimator.parse(one).kind == name]
    if not kind:
        raise unknown("estimator", name, {one for _, one in given})
    return list(dict.fromkeys(kind))


def one_each(rows: Sequence[Row]) -> list[Column]:
    """Of each row's name the estimator of `foremost`."""
    return [Column(name, foremost(name, rows)) for name in dict.fromkeys(row["metric"] for row in rows)]


def foremost(metric: str, rows: Sequence[Row]) -> str:
    """Of a row's estimators the one of the model itself with the most draws; empty for none.

    Estimators of another kind than the first's are not considered: their draws are draws of something else.
    """
    own = [how(row) for row in rows if row["metric"] == metric and row["status"] == "ok"]
    plain = [one for one in own if not one.of and not one.variant] or own
    alike = [one for one in plain if one.kind == plain[0].kind]
    return str(max(alike, key=lambda one: one.draws).base) if alike else ""


def deciding(rows: Sequence[Row]) -> list[Column]:
    """What fits a page: estimates that a paper's numbers stand beside, with these; then of each of QUESTIONS the first
    metric's that answers it; where there are none of either, the first rows of the table. Never over FIT columns."""
    ok = [row for row in rows if row["status"] == "ok"]
    beside = [Column(row["metric"], base(text(row["estimator"]))) for row in ok if text(row["published"])]
    found = with_papers(list(dict.fromkeys(beside)), rows) + answers(ok)
    if not found:
        alone = [Column(row["metric"], "", True) for row in rows if row["status"] == "published"]
        found = one_each(ok) or list(dict.fromkeys(alone))
    return list(dict.fromkeys(found))[:FIT]


def answers(rows: Sequence[Row]) -> list[Column]:
    """One column for each of QUESTIONS that these rows answer."""
    return [Column(row, str(estimator)) for row, estimator in answering(rows).values()]


def with_papers(ours: Iterable[Column], rows: Sequence[Row]) -> list[Column]:
    """Each with a paper's numbers after it, where there are any."""
    told = []
    for one in ours:
        beside = Column(one.metric, one.how, published=True)
        told += [one, beside] if any(beside.holds(row) and pd.notna(row["published"]) for row in rows) else [one]
    return told
