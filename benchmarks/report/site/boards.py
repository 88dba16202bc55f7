"""Leaderboards: every row of every table that has one data set and one protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd

from benchmarks.common.rows import NO_MODEL, Row, records
from benchmarks.estimators.estimator import Estimator
from benchmarks.metrics.base import QUESTIONS
from benchmarks.report.site.given import Given
from benchmarks.report.site.ranking import GROUPS, UNRANKED, doubted, group_of, judged, placed, title_of
from benchmarks.tables import front
from benchmarks.tables.answering import answering
from benchmarks.tables.console import how
from benchmarks.tables.headline import COST, MEANINGS, Answer, Cell, Headline, answer
from benchmarks.tables.notes import Notes, text

CONTROL = "its control"
"""The column beside that of copying: what reconstructions of unseen images have for the same figure."""

CONTROLS = {"against-reconstructions": "reconstruction"}
"""What an estimate is of that is held against a control, and what the control is of."""


class Source(NamedTuple):
    """Where a line is from."""

    table: Given
    method: str
    prior: str


@dataclass(frozen=True)
class Line:
    """A method of a table. place: in its group, None where it is not ranked. cost: of training, in seconds, as text."""

    source: Source
    place: int | None
    verdict: str
    letter: str
    cells: tuple[Cell, ...]
    exact: tuple[str, ...]
    cost: str


@dataclass(frozen=True)
class Group:
    """Lines that are ranked together, by the key of GROUPS, with a title and what is said of it."""

    certainty: str
    title: str
    said: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class View:
    """The methods by one estimator of what decides. told: what columns, signs and marks are."""

    answers: tuple[Answer, ...]
    groups: tuple[Group, ...]
    told: tuple[str, ...]
    footnotes: Mapping[str, str]

    @property
    def deciding(self) -> Answer:
        return self.answers[0]

    @property
    def ranked(self) -> list[Group]:
        return [group for group in self.groups if group.certainty != UNRANKED]

    @property
    def unranked(self) -> list[Line]:
        return [line for group in self.groups if group.certainty == UNRANKED for line in group.lines]


@dataclass(frozen=True)
class Board:
    """A data set under one protocol. views: the deciding estimator's first. estimators: all that its rows have."""

    dataset: str
    protocol: str
    tables: tuple[Given, ...]
    views: tuple[View, ...]
    estimators: pd.DataFrame

    @property
    def lines(self) -> list[Line]:
        return [line for group in self.views[0].groups for line in group.lines]

    @property
    def suites(self) -> list[str]:
        return list(dict.fromkeys(line.source.table.suite for line in self.lines))


def boards(tables: Sequence[Given]) -> list[Board]:
    """Those of the data sets and protocols that have an estimate which answers a question; the largest first."""
    keys = dict.fromkeys(
        (row["dataset"], row["protocol"]) for one in tables for row in _ours(one) if text(row["protocol"])
    )
    found = [board for key in keys if (board := _board(*key, tables))]
    return sorted(found, key=lambda one: (-len(one.lines), one.dataset, one.protocol))


def _ours(table: Given) -> list[Row]:
    """Rows of our own models: neither papers' nor former ones, nor those of real images in a model's place."""
    frame = table.frame[~table.frame["status"].isin(("published", "former"))]
    return records(frame[frame["model"].ne(NO_MODEL)])


def _board(dataset: str, protocol: str, tables: Sequence[Given]) -> Board | None:
    rows, sources = _gathered(dataset, protocol, tables)
    asked = answering(rows)
    deciding = [name for name, of in asked.items() if name in QUESTIONS and _ranks(of, rows)]
    if not deciding:
        return None
    first = deciding[0]
    others = {name: of for name, of in asked.items() if name != first}
    ways = (asked[first], *_other_ways(asked[first], rows))
    views = tuple(_view(dataset, {first: way} | others, rows, sources) for way in ways)
    shown = {source.table.name: source.table for source in sources.values()}
    estimators = pd.DataFrame({"estimator": [text(row["estimator"]) for row in rows]})
    return Board(dataset, protocol, tuple(shown.values()), views, estimators)


def _gathered(dataset: str, protocol: str, tables: Sequence[Given]) -> tuple[list[Row], dict[str, Source]]:
    """(the rows, in which a method's name is a key of the sources, since tables may have methods of one name)."""
    rows: list[Row] = []
    sources: dict[str, Source] = {}
    for i, table in enumerate(tables):
        mine = [row for row in _ours(table) if (row["dataset"], text(row["protocol"])) == (dataset, protocol)]
        for row in mine:
            sources.setdefault(f"{i}/{row['method']}", Source(table, row["method"], text(row["prior"])))
        spent = [row for row in records(table.costs) if row["dataset"] == dataset and row["metric"] == COST[0]]
        rows += [{**row, "method": f"{i}/{row['method']}"} for row in (*doubted(mine), *spent)]
    return [row for row in rows if row["method"] in sources], sources


def _ranks(of: tuple[str, Estimator], rows: Iterable[Row]) -> bool:
    return any(row["direction"] in ("lower", "higher") for row in _by(of, rows))


def _by(of: tuple[str, Estimator], rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["status"] == "ok" and row["metric"] == of[0] and how(row).base == of[1]]


def _other_ways(of: tuple[str, Estimator], rows: Iterable[Row]) -> list[tuple[str, Estimator]]:
    """The other estimators of the same figure of the model itself; no paper's own convention is one."""
    known = [how(row).base for row in rows if row["status"] == "ok" and row["metric"] == of[0]]
    plain = [one for one in known if not one.of and not one.variant and one != of[1]]
    return [(of[0], one) for one in dict.fromkeys(plain)]


def _view(
    dataset: str, asked: Mapping[str, tuple[str, Estimator]], rows: Sequence[Row], sources: Mapping[str, Source]
) -> View:
    columns = _columns(asked)
    found = [answer(name, meaning, *of, rows) for name, meaning, of in columns]
    answers = tuple(one for one in found if one)
    notes = Notes()
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    for key in sources:
        groups[group_of(answers[0].rows.get(key))].append(key)
    shown = tuple(
        Group(name, *title_of(name, answers[0].question), tuple(_lines(name, keys, answers, sources, notes)))
        for name, keys in groups.items()
        if keys
    )
    told = front.told(Headline(dataset, tuple(sources), answers), Notes())
    return View(answers, shown, tuple(told), notes.footnotes)


def _columns(asked: Mapping[str, tuple[str, Estimator]]) -> list[tuple[str, str, tuple[str, Estimator]]]:
    """(name, meaning, what it is of) of the columns: a control after what is held against it, costs at the end."""
    columns = []
    for name, of in {**asked, "cost": COST}.items():
        columns.append((name, MEANINGS[name], of))
        if control := CONTROLS.get(of[1].of):
            meaning = "the same of reconstructions of unseen images, which are as smooth and cannot be copies"
            columns.append((CONTROL, meaning, (of[0], replace(of[1], of=control))))
    return columns


def _lines(
    name: str, keys: list[str], answers: Sequence[Answer], sources: Mapping[str, Source], notes: Notes
) -> Iterable[Line]:
    deciding, ranked = answers[0], name != UNRANKED
    for i, key in enumerate(placed(deciding.rows, keys, deciding.direction) if ranked else keys):
        word, reason = judged(deciding.rows.get(key), deciding, sources[key].table.name)
        if ranked and (other := _unranked_best(key, deciding)):
            word, reason = "", f"{word or 'held'} against {sources[other].method}, which is not ranked"
        yield Line(
            sources[key],
            i + 1 if ranked else None,
            word,
            notes.of(reason),
            tuple(one.cells.get(key, Cell("")) for one in answers),
            tuple(one.exact(key) for one in answers),
            next((one.exact(key) for one in answers if one.metric == COST[0]), ""),
        )


def _unranked_best(key: str, deciding: Answer) -> str:
    """The best by the same table's test that a method was held against, where that one is not ranked here."""
    number, certainty = key.partition("/")[0], how(deciding.rows[key]).certainty
    for other, row in deciding.rows.items():
        same = other.partition("/")[0] == number and how(row).certainty == certainty
        if same and text(row["standing_label"]) == "best" and group_of(row) == UNRANKED:
            return other
    return ""
