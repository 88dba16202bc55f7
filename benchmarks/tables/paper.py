"""A suite's table as a paper prints it: data sets beneath one another, methods down, estimates across, notes below.

No number stands bare that is not to be taken as it is: what a table says of a row (its alarm, its remark, seeds that
are missing, that it is a trial, why it was not ranked) becomes a mark at the number and a note below the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from benchmarks.common.rows import Row, records
from benchmarks.estimators.estimator import Certainty, Estimator
from benchmarks.tables.columns import Column, columns
from benchmarks.tables.console import ARROWS, LEGEND, STANDINGS, UNRANKED, how, of_one_seed, published_value, value
from benchmarks.tables.notes import Notes, parts, text

BEST = STANDINGS["best"]

MARKS = LEGEND | {UNRANKED: "unreliable or impossible: see its note"}
"""What marks mean; the best has one in a CSV alone, and is bold elsewhere."""

OF_DENSITY: Mapping[Certainty, str] = {
    "estimate": "with an estimated ln Z of the prior, whose error is part of the number's: not ranked with exact ones",
    "bound": "with a bound on the prior's density: not ranked with exact ones",
    "unreliable": "with an estimate of the prior's ln Z that fails its own diagnostics",
}
"""What is said of a number whose column has others of an exact density."""


@dataclass(frozen=True)
class Cell:
    """What stands in one place: a number, its error, the mark of its standing, and letters of notes."""

    number: str = "-"
    error: str = ""
    mark: str = ""
    letters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Head:
    """The words above a column, below them its estimator and unit, and the letter of what all its numbers share."""

    column: Column
    name: str
    below: tuple[str, str] = ("", "")
    letters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paper:
    """A table for a paper. blocks: by data set the cells of each method. told: what holds for the table, sentence by
    sentence; footnotes: by letter what holds for single numbers or columns."""

    suite: str
    heads: tuple[Head, ...]
    blocks: Mapping[str, Mapping[str, tuple[Cell, ...]]]
    told: tuple[str, ...]
    footnotes: Mapping[str, str] = field(default_factory=dict)

    @property
    def cells(self) -> list[Cell]:
        return [cell for block in self.blocks.values() for line in block.values() for cell in line]


def paper(frame: pd.DataFrame, metrics: Sequence[str] = (), estimators: Sequence[str] = ()) -> Paper:
    """The table of these metrics and estimators, or without any of what fits a page (`columns`)."""
    rows = records(frame)
    across = columns(rows, metrics, estimators)
    notes, taken = Notes(), taken_from(rows, across)
    said = {one: common([clauses(said_of(row, one)) for _, row in numbers(taken, one)]) for one in across}
    everywhere = common([said[one] for one in across if not one.published])
    blocks: dict[str, dict[str, tuple[Cell, ...]]] = {}
    heads = tuple(head(one, rows, [part for part in said[one] if part not in everywhere], notes) for one in across)
    for (dataset, method), found in taken.items():
        line = tuple(cell(found.get(one), one, said[one], taken, dataset, notes) for one in across)
        blocks.setdefault(dataset, {})[method] = line
    missing = [name for name in dict.fromkeys(row["dataset"] for row in rows) if name not in blocks]
    told = [f"all numbers: {part}" for part in everywhere]
    made = Paper(text(rows[0]["suite"]) if rows else "", heads, blocks, (), {})
    told = [*legend(made, taken), *told, *([f"not computed: {', '.join(missing)}"] if missing else [])]
    return Paper(made.suite, heads, blocks, tuple(told), notes.footnotes)


Taken = Mapping[tuple[str, str], Mapping[Column, Row]]
"""By data set and method the row that each column's number, or the reason for none, is of."""


def taken_from(rows: Sequence[Row], across: Sequence[Column]) -> Taken:
    """Of data sets that have a number, every method that has one, or a reason why it has none.

    Where several rows would stand in one place, the first does; a number stands before a reason.
    """
    found: dict[tuple[str, str], dict[Column, Row]] = {}
    for one in across:
        for row in [row for row in rows if one.holds(row)] + [row for row in rows if one.lacks(row)]:
            found.setdefault((row["dataset"], row["method"]), {}).setdefault(one, row)
    have = {key[0] for key, line in found.items() if any(one.holds(row) for one, row in line.items())}
    order = list(dict.fromkeys((row["dataset"], row["method"]) for row in rows))
    return {key: found[key] for key in order if key in found and key[0] in have and worth(found[key])}


def worth(line: Mapping[Column, Row]) -> bool:
    """Is there more to a method than that it was not run?"""
    return any(row["status"] != "not-computed" for row in line.values())


def numbers(taken: Taken, one: Column) -> list[tuple[str, Row]]:
    """Data set and row of a column's numbers."""
    found = [(key[0], line[one]) for key, line in taken.items() if one in line and one.holds(line[one])]
    return [(dataset, row) for dataset, row in found if not one.published or pd.notna(row["published"])]


def said_of(row: Row, one: Column) -> list[str]:
    """What a reader must know of a number, part by part."""
    if one.published:
        return [part for part in (text(row["published_source"]), verdict(row)) if part]
    alarm, own = text(row["alarm"]), parts(row)
    own = [part for part in own if part != verdict(row)]
    density = OF_DENSITY.get(how(row).certainty, "") if one.how != text(row["estimator"]) else ""
    known = any(alarm in part for part in own)
    return [part for part in (density, "" if known else alarm, *own) if part]


def clauses(said: Sequence[str]) -> list[str]:
    """The same in pieces: what all numbers share is told once, though it stands among what is peculiar to each."""
    return [clause for part in said for clause in part.split("; ")]


def verdict(row: Row) -> str:
    """How a paper's number and ours agree."""
    reason = text(row["verdict_reason"])
    return f"not comparable: {reason}" if reason else text(row["verdict_label"])


def common(several: Sequence[Sequence[str]]) -> list[str]:
    """What is said of every one of several; nothing of one alone."""
    first, *others = several or [[]]
    return [part for part in first if all(part in other for other in others)] if others else []


def head(one: Column, rows: Sequence[Row], said: Sequence[str], notes: Notes) -> Head:
    """The words above a column."""
    letters = (notes.of("; ".join(said)),) if said else ()
    if one.published:
        return Head(one, "paper" if one.how else f"{one.metric}, paper", letters=letters)
    row = next(row for row in rows if one.holds(row))
    unit = "" if text(row["unit"]) in ("", "none") else f"[{row['unit']}]"
    return Head(one, " ".join(filter(None, (one.metric, ARROWS.get(row["direction"])))), (one.how, unit), letters)


def cell(row: Row | None, one: Column, shared: Sequence[str], taken: Taken, dataset: str, notes: Notes) -> Cell:
    """A number with its marks; a dash, or the word for how the run ended, with the reason as a note."""
    if row is None:
        return Cell()
    if not one.holds(row):
        word = row["status"] if row["status"] in ("failed", "diverged") else "-"
        return Cell(word, letters=(notes.of(text(row["remark"])),) if text(row["remark"]) else ())
    rest = ["; ".join(own for own in part.split("; ") if own not in shared) for part in said_of(row, one)]
    letters = tuple(notes.of(part) for part in rest if part)
    if one.published:
        return Cell(published_value(row) or "-", letters=letters if published_value(row) else ())
    return Cell(*value(row), mark_of(row, ranked_by(one, taken, dataset)), letters)


def mark_of(row: Row, ranked: str) -> str:
    """The mark of its standing among its like; UNRANKED for what is no sound estimate."""
    if text(row["alarm"]) or not how(row).reliable:
        return UNRANKED
    return STANDINGS.get(text(row["standing_label"]), "") if text(row["estimator"]) == ranked else ""


def ranked_by(one: Column, taken: Taken, dataset: str) -> str:
    """The estimator that a column's marks are of: unlike ones are not ranked together, and one column has one best.

    It is that of most of its numbers on the data set, and of the exact densities among equals.
    """
    given = [text(row["estimator"]) for name, row in numbers(taken, one) if name == dataset]
    return max(dict.fromkeys(given), key=lambda name: (given.count(name), Estimator.parse(name).certainty == "exact"))


def legend(made: Paper, taken: Taken) -> list[str]:
    """What numbers, arrows and marks mean, as far as there are any."""
    rows = [row for line in taken.values() for one, row in line.items() if one.holds(row) and not one.published]
    several = {int(row["n"]) for row in rows if row["stderr"] > 0}
    told = [f"mean ± standard error over {spanned(several)} seeds"] if several else []
    if any(map(of_one_seed, rows)):
        told.append("in brackets: one seed, standard error over images or draws")
    arrows = {arrow: word for word, arrow in ARROWS.items() if any(arrow in one.name for one in made.heads)}
    told += [f"{arrow} {word} is better" for arrow, word in arrows.items()]
    found = {one.mark for one in made.cells}
    return told + [f"{mark}: {meaning}" for mark, meaning in MARKS.items() if mark in found]


def spanned(counts: Iterable[int]) -> str:
    """`5`, or `3 to 5`."""
    low, high = min(counts := set(counts)), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"
