"""The page's first screen: each data set's headline, with a picture of every method's draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmarks.report.pictures import embedded
from benchmarks.tables import front
from benchmarks.tables.headline import Answer, Cell, Headline, headlines
from benchmarks.tables.ledger import Ledger
from benchmarks.tables.notes import Notes


@dataclass(frozen=True)
class Line:
    """A method: a word for how it stands with the letter of the reason, its cells, and its draws as a URI."""

    method: str
    verdict: str
    letter: str
    cells: tuple[Cell, ...]
    draws: str


@dataclass(frozen=True)
class Front:
    """A data set. told: what columns, signs and marks are. footnotes: reasons of verdicts by their letters."""

    dataset: str
    answers: tuple[Answer, ...]
    lines: tuple[Line, ...]
    told: tuple[str, ...]
    footnotes: Mapping[str, str]


def fronts(frame: pd.DataFrame, costs: pd.DataFrame, ledger: Ledger, results: Path) -> list[Front]:
    """Those of the data sets that have an estimate."""
    return [_front(one, ledger, results) for one in headlines(frame, costs)]


def _front(one: Headline, ledger: Ledger, results: Path) -> Front:
    notes = Notes()
    lines = []
    for method in one.methods:
        word, reason = one.verdict(method)
        cells = tuple(answer.cells.get(method, Cell("")) for answer in one.answers)
        lines.append(Line(method, word, notes.of(reason), cells, draws(one.dataset, method, ledger, results)))
    return Front(one.dataset, one.answers, tuple(lines), tuple(front.told(one, Notes())), notes.footnotes)


def draws(dataset: str, method: str, ledger: Ledger, results: Path) -> str:
    """The picture of draws that the method's first run left; empty where it is not on this disk."""
    runs = [(one.seed, name, one) for name, one in ledger.items() if (one.dataset, one.method) == (dataset, method)]
    for _, name, entry in sorted(runs, key=lambda run: run[:2]):
        path = results / "runs" / str(entry.settings["suite"]) / name / "samples.png"
        if path.is_file():
            return embedded(path)
    return ""
