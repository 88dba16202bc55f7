"""A suite's estimates by data set, metric and estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from benchmarks.common.rows import Row, records
from benchmarks.report.rows import Number, count, exact, mean
from benchmarks.tables.console import alarm, mark, of_one_seed, ordered, pairs, published_value, rounded
from benchmarks.tables.notes import Notes, shared, text

DIRECTIONS = {"lower": "lower is better", "higher": "higher is better"}

LONG = 40
"""Estimates of a metric beyond which its table is folded."""


@dataclass(frozen=True)
class Against:
    """How an estimate was held against another: the difference with its standard errors over seeds and over images, on
    how many pairs of seeds, p, and what difference would have been shown."""

    against: str
    difference: Number
    error: Number
    images: Number
    pairs: Number
    p: Number
    detectable: Number


@dataclass(frozen=True)
class Entry:
    """One estimate as a row. mark: of its standing. alarm: what a reader must not miss of it. letter: of its
    footnote. test: None where it was not tested."""

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
    test: Against | None


@dataclass(frozen=True)
class Block:
    """What one estimator gave, which alone are held against each other."""

    estimator: str
    direction: str
    entries: tuple[Entry, ...]

    @property
    def tested(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.test]


@dataclass(frozen=True)
class Group:
    """A metric on a data set. footnotes: by letter."""

    metric: str
    unit: str
    blocks: tuple[Block, ...]
    footnotes: Mapping[str, str]
    folded: bool

    @property
    def entries(self) -> list[Entry]:
        return [entry for block in self.blocks for entry in block.entries]

    @property
    def columns(self) -> set[str]:
        """Those of the columns that may be empty in which there is something."""
        optional = ("standing", "published", "verdict", "letter")
        found = {name for name in optional if any(getattr(one, name) not in ("", Number()) for one in self.entries)}
        return found | ({"letter"} if any(one.alarm for one in self.entries) else set())

    @property
    def tested(self) -> list[Block]:
        """The blocks that have estimates which were tested."""
        return [block for block in self.blocks if block.tested]


@dataclass(frozen=True)
class Part:
    """A data set. everywhere: what is said of all of its estimates. bracketed: some are of one seed."""

    dataset: str
    everywhere: str
    groups: tuple[Group, ...]
    bracketed: bool


def parts(frame: pd.DataFrame, metrics: Sequence[str], trial: Sequence[str]) -> list[Part]:
    """The data sets that have estimates. The metrics that the suite names come first, their by-products after them."""
    shown = frame[frame["status"].isin(("ok", "published"))]
    return [_part(str(dataset), one, metrics, trial) for dataset, one in shown.groupby("dataset", sort=False)]


def _part(dataset: str, frame: pd.DataFrame, metrics: Sequence[str], trial: Sequence[str]) -> Part:
    ours = frame[frame["status"] == "ok"]
    everywhere = tuple(part for part in shared(records(ours)) if part not in trial)
    said, rows = (*trial, *everywhere), ordered(frame)
    names = sorted(dict.fromkeys(row["metric"] for row in rows), key=lambda name: name not in metrics)
    groups = [_group([row for row in rows if row["metric"] == name], said, name in metrics) for name in names]
    return Part(dataset, "; ".join(everywhere), tuple(groups), any(map(of_one_seed, rows)))


def _group(rows: Sequence[Row], said: Sequence[str], named: bool) -> Group:
    """Of one metric. Folded are long tables, and those of by-products that no paper has numbers of."""
    notes = Notes(said)
    blocks = tuple(_block(list(block), notes) for _, block in groupby(rows, key=lambda row: text(row["estimator"])))
    unit = next((text(row["unit"]) for row in rows if text(row["unit"]) not in ("", "none")), "")
    compared = any(pd.notna(row["published"]) for row in rows)
    return Group(rows[0]["metric"], unit, blocks, notes.footnotes, len(rows) > LONG or not (named or compared))


def _block(rows: Sequence[Row], notes: Notes) -> Block:
    direction = DIRECTIONS.get(text(rows[0]["direction"]), "")
    return Block(text(rows[0]["estimator"]), direction, tuple(_entry(row, notes) for row in rows))


def _entry(row: Row, notes: Notes) -> Entry:
    standing, verdict = text(row["standing_label"]), text(row["verdict_label"])
    letter = notes.mark(row) if row["status"] == "ok" else ""
    paper = Number(published_value(row), exact(row["published"]))
    value, error = mean(row)
    told = {
        "mark": mark(row),
        "standing": standing,
        "verdict": verdict,
        "alarm": alarm(row) if row["status"] == "ok" else "",
        "letter": letter,
    }
    return Entry(row["method"], value, error, count(row), published=paper, test=_test(row), **told)


def _test(row: Row) -> Against | None:
    """Of a row that was held against another. All is shown to the digits that the error over seeds has."""
    if not (against := text(row["against"])):
        return None
    names = ("difference", "difference_stderr", "difference_images", "detectable")
    error = row["difference_stderr"]
    shown = (Number(rounded(row[name], error, "+" if name == "difference" else ""), exact(row[name])) for name in names)
    difference, seeds, images, detectable = shown
    counted, p = Number(pairs(row), pairs(row)), Number("" if pd.isna(row["p"]) else f"{row['p']:.2g}", exact(row["p"]))
    return Against(against, difference, seeds, images, counted, p, detectable)
