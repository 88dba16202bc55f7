"""A suite's figures by data set, metric and estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from benchmarks.display import STANDINGS, Notes, brackets, common_note, ordered, published_value, text
from benchmarks.report.rows import Number, Row, count, exact, mean, without

ALARMS = ("unreliable", "impossible")
"""First words of notes that a reader must not miss."""

DIRECTIONS = {"lower": "lower is better", "higher": "higher is better"}

LONG = 40
"""Figures of a metric beyond which its table is folded."""


@dataclass(frozen=True)
class Figure:
    """One figure as a row. mark: of its standing. alarm: the first word of a note that warns of it. letter: of its
    footnote."""

    method: str
    mean: Number
    error: Number
    n: Number
    mark: str
    standing: str
    published: Number
    verdict: str
    alarm: str
    letter: str


@dataclass(frozen=True)
class Block:
    """The figures of one estimator, which alone are held against each other."""

    estimator: str
    direction: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Group:
    """A metric on a data set. footnotes: by letter."""

    metric: str
    unit: str
    blocks: tuple[Block, ...]
    footnotes: Mapping[str, str]
    folded: bool

    @property
    def figures(self) -> list[Figure]:
        return [figure for block in self.blocks for figure in block.figures]

    @property
    def columns(self) -> set[str]:
        """Those of the columns that may be empty in which there is something."""
        optional = ("standing", "published", "verdict", "letter")
        return {name for name in optional if any(getattr(one, name) not in ("", Number()) for one in self.figures)}


@dataclass(frozen=True)
class Part:
    """A data set. everywhere: the note that all of its figures share. bracketed: some are of one seed."""

    dataset: str
    everywhere: str
    groups: tuple[Group, ...]
    bracketed: bool


def parts(frame: pd.DataFrame, metrics: Sequence[str], trial: Sequence[str]) -> list[Part]:
    """The data sets that have figures. The metrics that the suite names come first, their by-products after them."""
    shown = frame[frame["status"].isin(("ok", "published"))]
    return [_part(dataset, one, metrics, trial) for dataset, one in shown.groupby("dataset", sort=False)]


def _part(dataset: str, frame: pd.DataFrame, metrics: Sequence[str], trial: Sequence[str]) -> Part:
    ours = frame[frame["status"] == "ok"]
    everywhere = without(common_note(ours["note"]), trial) if len(ours) > 1 else ""
    said = (*trial, *everywhere.split("; "))
    rows = ordered(frame)
    names = sorted(dict.fromkeys(row["metric"] for row in rows), key=lambda name: name not in metrics)
    groups = [_group([row for row in rows if row["metric"] == name], said, name in metrics) for name in names]
    return Part(dataset, everywhere, tuple(groups), any(brackets(text(row["note"])) for row in rows))


def _group(rows: Sequence[Row], said: Sequence[str], named: bool) -> Group:
    """Of one metric. Folded are long tables, and those of by-products that no paper has figures of."""
    notes = Notes("; ".join(said))
    blocks = tuple(_block(list(block), notes) for _, block in groupby(rows, key=lambda row: text(row["estimator"])))
    unit = next((text(row["unit"]) for row in rows if text(row["unit"]) not in ("", "none")), "")
    compared = any(pd.notna(row["published"]) for row in rows)
    footnotes = {letter: note for note, letter in notes.letters.items()}
    return Group(rows[0]["metric"], unit, blocks, footnotes, len(rows) > LONG or not (named or compared))


def _block(rows: Sequence[Row], notes: Notes) -> Block:
    direction = DIRECTIONS.get(text(rows[0]["direction"]), "")
    return Block(text(rows[0]["estimator"]), direction, tuple(_figure(row, notes) for row in rows))


def _figure(row: Row, notes: Notes) -> Figure:
    standing, _, doubt = text(row["standing"]).partition("; ")
    verdict, _, reason = text(row["verdict"]).partition(": ")
    note = text(row["note"]) if row["status"] == "ok" else ""
    alarm = next((word for word in ALARMS for part in note.split("; ") if part.startswith(word)), "")
    letter = notes.mark("; ".join(filter(None, (note, doubt, reason and f"not comparable: {reason}"))))
    paper = Number(published_value(row), exact(row["published"]))
    mark = STANDINGS.get(standing, "")
    return Figure(row["method"], *mean(row), count(row), mark, standing, paper, verdict, alarm, letter)
