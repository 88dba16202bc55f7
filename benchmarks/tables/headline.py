"""A table's answer: methods down, and across one estimate each of what decides (likelihood, codes, samples, ...)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from benchmarks.common.rows import NO_MODEL, Row, records
from benchmarks.estimators.estimator import SHARE, Estimator
from benchmarks.metrics.base import QUESTIONS
from benchmarks.tables.answering import answering
from benchmarks.tables.console import ARROWS, alarm, how, mark, value
from benchmarks.tables.console import UNRANKED as UNRELIABLE
from benchmarks.tables.notes import text

COST = ("training_time", Estimator("wall-clock"))
"""What the headline has of the table of costs, as `answering` has metrics and estimators."""

MEANINGS = {**QUESTIONS, "cost": "training a run, by the clock"}
"""What a column of the headline is."""

SHARED = "+"
"""Mark of seconds that are a run's share of those of several, which were trained together."""

ALARM = "!"
"""Mark of an estimate that is unreliable or impossible with some of its seeds."""

CERTAINTIES = {"estimate": "~", "bound": "<"}
"""Before an estimate whose density is not exact: such are ranked among themselves alone."""

UNRANKED = {"unsupported": "-", "failed": "failed", "diverged": "diverged", "not-computed": "not run"}
"""What stands in the place of an estimate that is none."""


@dataclass(frozen=True)
class Cell:
    """One method's answer. certainty: a sign for a density that is not exact. mark: of its standing among those that
    are ranked together, and of what is not to be relied on."""

    mean: str
    error: str = ""
    mark: str = ""
    certainty: str = ""

    @property
    def number(self) -> str:
        """The estimate with its error, to two digits of it."""
        return " ".join(filter(None, (self.certainty + self.mean, self.error and f"± {self.error}")))


@dataclass(frozen=True)
class Answer:
    """What a question of QUESTIONS, or the cost, has for an answer on a data set: what the estimates are, and each
    method's. rows: those that they are of."""

    question: str
    meaning: str
    metric: str
    estimator: str
    unit: str
    direction: str
    cells: Mapping[str, Cell]
    rows: Mapping[str, Row]

    def exact(self, method: str) -> str:
        """A method's estimate to all digits of the table, by which rows are sorted."""
        row = self.rows.get(method)
        return f"{row['mean']:.8g}" if row is not None and row["status"] == "ok" else ""

    @property
    def marked(self) -> bool:
        """Has any of the cells a mark?"""
        return any(cell.mark for cell in self.cells.values())

    @property
    def arrow(self) -> str:
        return ARROWS.get(self.direction, "")


@dataclass(frozen=True)
class Headline:
    """A data set's answers, and the verdicts that the deciding one gives."""

    dataset: str
    methods: tuple[str, ...]
    answers: tuple[Answer, ...]

    @property
    def deciding(self) -> Answer | None:
        """The answer that verdicts are by: the first that ranks, which is of the likelihood where there is one."""
        return next((one for one in self.answers if one.arrow), None)

    def verdict(self, method: str) -> tuple[str, str]:
        """(best, tied, better, worse, undecided, or why it is not ranked; the reason of that)."""
        row = self.deciding.rows.get(method) if self.deciding else None
        return verdict(row) if row is not None else ("-", "")


def headlines(frame: pd.DataFrame, costs: pd.DataFrame | None = None) -> list[Headline]:
    """Those of a table's data sets. costs: the table of costs, where there is one."""
    frame = frame if costs is None or costs.empty else pd.concat([frame, costs.reindex(columns=frame.columns)])
    ours = frame[~frame["status"].isin(("published", "former"))]
    found = [_headline(str(dataset), records(part)) for dataset, part in ours.groupby("dataset", sort=False)]
    return [one for one in found if any(answer.question in QUESTIONS for answer in one.answers)]


def _headline(dataset: str, rows: Sequence[Row]) -> Headline:
    methods = tuple(dict.fromkeys(row["method"] for row in rows))
    found = {**answering(rows), "cost": COST}
    answers = [answer(name, MEANINGS[name], *of, rows) for name, of in found.items()]
    return Headline(dataset, methods, tuple(one for one in answers if one))


def answer(question: str, meaning: str, metric: str, base: Estimator, rows: Sequence[Row]) -> Answer | None:
    """Of all rows by this estimator but for what the density makes of it, and for whether it is a share; None where
    there are none."""
    found = [row for row in rows if row["status"] == "ok" and row["metric"] == metric]
    same = {row["method"]: row for row in found if alone(how(row).base) == base}
    if not same:
        return None
    first = next(iter(same.values()))
    empty = {row["method"]: row for row in rows if row["status"] in UNRANKED and row["metric"] == first["metric"]}
    of = {**empty, **same}
    cells = {method: _cell(row) for method, row in of.items()}
    return Answer(question, meaning, first["metric"], str(base), text(first["unit"]), first["direction"], cells, of)


def alone(base: Estimator) -> Estimator:
    """The estimator of a cost that is no share."""
    return replace(base, variant="") if base.variant == SHARE else base


def _cell(row: Row) -> Cell:
    if row["status"] != "ok":
        return Cell(UNRANKED[row["status"]])
    marks = mark(row) + (ALARM if alarm(row) and mark(row) != UNRELIABLE else "")
    marks += SHARED if how(row).variant == SHARE else ""
    return Cell(*_shown(row), marks, CERTAINTIES.get(how(row).certainty, ""))


def _shown(row: Row) -> tuple[str, str]:
    """(mean, standard error); seconds as people say them."""
    return (duration(row["mean"]), "") if row["unit"] == "s" else value(row)


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.2 h`: to two digits or so."""
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def verdict(row: Mapping[str, Any]) -> tuple[str, str]:
    """(a word for how the row stands, the reason where it is not told from the best, or not ranked)."""
    if row["status"] != "ok":
        return UNRANKED[row["status"]], text(row["remark"])
    certainty = how(row).certainty
    if not how(row).reliable:
        return "unreliable", text(row["remark"])
    label, reason = text(row["standing_label"]), text(row["standing_reason"])
    sign = CERTAINTIES.get(certainty, "")
    if not label:
        return "not ranked", _why_unranked(row, certainty)
    if label == "undecided" and not reason:
        reason = f"p = {row['p']:.2g} against {row['against']}"
    return sign + label, reason


def _why_unranked(row: Mapping[str, Any], certainty: str) -> str:
    if text(row["trial"]):
        return "a trial"
    if text(row["model"]) == NO_MODEL:
        return "no model, but images in its place"
    return f"the only {certainty}" if certainty in CERTAINTIES else "held against no other"
