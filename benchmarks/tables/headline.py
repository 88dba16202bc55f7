"""A table's answer: methods down, and across one estimate each of what decides (likelihood, codes, samples, ...)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.rows import Row, records
from benchmarks.estimators.estimator import Estimator
from benchmarks.tables.console import mark, value
from benchmarks.tables.notes import text

ARROWS = {"lower": "↓", "higher": "↑"}

CERTAINTIES = {"estimate": "~", "bound": "<"}
"""Before an estimate whose density is not exact: such are ranked among themselves alone."""

UNRANKED = {"unsupported": "-", "failed": "failed", "diverged": "diverged", "not-computed": "not run"}
"""What stands in the place of an estimate that is none."""


@dataclass(frozen=True)
class Choice:
    """Which estimates a column may have. part: what the estimator is of."""

    metric: str
    kind: str = ""
    part: str = ""

    def fits(self, row: Row) -> bool:
        """Is the row's estimate one of these? None of a floor, a control, or another convention is."""
        how = Estimator.parse(text(row["estimator"]))
        plain = how.of == self.part and not how.variant
        return bool(row["metric"] == self.metric and plain and self.kind in ("", how.kind))


@dataclass(frozen=True)
class Column:
    """A question that the headline answers. decides: the verdict is by it."""

    title: str
    meaning: str
    of: tuple[Choice, ...]
    decides: bool = False


@dataclass(frozen=True)
class Cell:
    """One method's answer. certainty: a sign for a density that is not exact. mark: of its standing among those that
    are ranked together. alarm: why it is not to be relied on."""

    mean: str
    error: str = ""
    mark: str = ""
    certainty: str = ""
    alarm: str = ""

    @property
    def number(self) -> str:
        """The estimate with its error, to two digits of it."""
        return " ".join(filter(None, (self.certainty + self.mean, self.error and f"± {self.error}")))

    def __str__(self) -> str:
        return " ".join(filter(None, (self.number, self.mark)))


@dataclass(frozen=True)
class Answer:
    """A column as a data set has it: what its estimates are, and each method's. rows: those that they are of."""

    column: Column
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
    def arrow(self) -> str:
        return ARROWS.get(self.direction, "")


@dataclass(frozen=True)
class Headline:
    """A data set's answers. verdicts: of the deciding one, by method, with the reason where it is undecided."""

    dataset: str
    methods: tuple[str, ...]
    answers: tuple[Answer, ...]

    @property
    def deciding(self) -> Answer | None:
        """The answer that verdicts are by."""
        ranked = [one for one in self.answers if one.arrow]
        return next((one for one in ranked if one.column.decides), next(iter(ranked), None))

    def verdict(self, method: str) -> tuple[str, str]:
        """(best, tied, better, worse, undecided, or why it is not ranked; the reason of that)."""
        row = self.deciding.rows.get(method) if self.deciding else None
        return verdict(row) if row is not None else ("-", "")


@cache
def columns() -> tuple[Column, ...]:
    """The columns of every headline."""
    content = tomllib.loads(Path(__file__).with_name("headline.toml").read_text(encoding="utf-8"))
    return tuple(Column(**{**one, "of": tuple(Choice(**way) for way in one["of"])}) for one in content["column"])


def headlines(frame: pd.DataFrame, costs: pd.DataFrame | None = None) -> list[Headline]:
    """Those of a table's data sets. costs: the table of costs, where there is one."""
    frame = frame if costs is None or costs.empty else pd.concat([frame, costs.reindex(columns=frame.columns)])
    ours = frame[~frame["status"].isin(("published", "former"))]
    found = [_headline(str(dataset), records(part)) for dataset, part in ours.groupby("dataset", sort=False)]
    return [one for one in found if one.answers]


def _headline(dataset: str, rows: Sequence[Row]) -> Headline:
    methods = tuple(dict.fromkeys(row["method"] for row in rows))
    answers = [answer for column in columns() if (answer := _answer(column, rows))]
    return Headline(dataset, methods, tuple(answers))


def _answer(column: Column, rows: Sequence[Row]) -> Answer | None:
    for choice in column.of:
        if found := [row for row in rows if row["status"] == "ok" and choice.fits(row)]:
            base = max((Estimator.parse(text(row["estimator"])).base for row in found), key=lambda how: how.draws)
            return _of(column, base, found, rows)
    return None


def _of(column: Column, base: Estimator, found: Sequence[Row], rows: Sequence[Row]) -> Answer:
    same = {row["method"]: row for row in found if Estimator.parse(text(row["estimator"])).base == base}
    first = next(iter(same.values()))
    empty = {row["method"]: row for row in rows if row["status"] in UNRANKED and row["metric"] == first["metric"]}
    of = {**empty, **same}
    cells = {method: _cell(row) for method, row in of.items()}
    return Answer(column, first["metric"], str(base), text(first["unit"]), first["direction"], cells, of)


def _cell(row: Row) -> Cell:
    if row["status"] != "ok":
        return Cell(UNRANKED[row["status"]])
    how = Estimator.parse(text(row["estimator"]))
    alarm = text(row.get("alarm")) or ("" if how.reliable else how.certainty)
    return Cell(*_shown(row), mark(row), CERTAINTIES.get(how.certainty, ""), alarm)


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
    how = Estimator.parse(text(row["estimator"]))
    if not how.reliable:
        return "unreliable", text(row["remark"])
    label, reason = text(row["standing_label"]), text(row["standing_reason"])
    sign = CERTAINTIES.get(how.certainty, "")
    if not label:
        return "not ranked", _why_unranked(row, how)
    if label == "undecided" and not reason:
        reason = f"p = {row['p']:.2g} against {row['against']}"
    return sign + label, reason


def _why_unranked(row: Mapping[str, Any], how: Estimator) -> str:
    if text(row["trial"]):
        return "a trial"
    return f"the only {how.certainty}" if how.certainty in CERTAINTIES else "held against no other"
