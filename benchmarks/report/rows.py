"""The rows of a suite's table as they were written, and the numbers of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import published
from benchmarks.display import text, value
from benchmarks.errors import UsageError
from benchmarks.suite import SECTIONS
from benchmarks.table import COLUMNS, DIGITS

Row = dict[str, Any]

YOUNGER = (*published.COLUMNS, "standing")
"""Columns that a table may lack: those of costs do, and those of earlier versions some."""

NUMBERS = ("mean", "std", "n", "stderr", "published", "published_std", "deviation")

TRIAL = re.compile(rf"preset \S+: |({'|'.join(SECTIONS)})\.\S+=")
"""Begins the part of a note that tells what a trial was run with."""


@dataclass(frozen=True)
class Number:
    """What is shown of a number, and all of its digits, by which rows are sorted; both empty for none."""

    shown: str = ""
    value: str = ""


def read(path: Path, remedy: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(a table that `table.write` wrote, the columns that it is too old to have, which are empty here).

    UsageError where there is no such table.
    """
    if not path.is_file():
        raise UsageError(f"There is no table {path}: {remedy}.")
    try:
        frame = pd.read_csv(path, dtype={name: str for name in COLUMNS if name not in NUMBERS})
    except ValueError as error:
        raise UsageError(f"{path} is no table: {' '.join(str(error).split())}; {remedy}.") from None
    lacking = tuple(name for name in COLUMNS if name not in frame)
    if essential := [name for name in lacking if name not in YOUNGER]:
        raise UsageError(f"{path} is no table of a suite: it has no column '{essential[0]}'; {remedy}.")
    return frame.reindex(columns=COLUMNS), lacking


def read_costs(path: Path) -> pd.DataFrame:
    """The table of costs; empty where there is none."""
    return read(path, "remove it, or run the suite again")[0] if path.is_file() else pd.DataFrame(columns=COLUMNS)


def records(frame: pd.DataFrame, *statuses: str) -> list[Row]:
    """The rows of these statuses."""
    found: list[Row] = frame[frame["status"].isin(statuses)].to_dict("records")
    return found


def trial(frame: pd.DataFrame) -> tuple[str, ...]:
    """What the rows were run with in the place of the suite's own settings; empty where they are no trial."""
    parts = (part for note in frame["note"] for part in text(note).split("; "))
    return tuple(dict.fromkeys(part for part in parts if TRIAL.match(part)))


def without(note: str, said: Sequence[str]) -> str:
    """The note but for the parts that were said elsewhere."""
    return "; ".join(part for part in note.split("; ") if part not in said)


def mean(row: Row) -> tuple[Number, Number]:
    """(mean, standard error) of a row; a count is shown whole."""
    shown, error = value(row)
    if text(row["unit"]) == "count" and row["status"] == "ok":
        shown = f"{row['mean']:,.0f}"
    return Number(shown, exact(row["mean"])), Number(error, error.strip("()"))


def count(row: Row) -> Number:
    """How many seeds; none for a figure of a paper alone."""
    return Number(str(row["n"]), str(row["n"])) if row["status"] == "ok" else Number()


def exact(number: float) -> str:
    """As the table has it."""
    return "" if pd.isna(number) else f"{number:.{DIGITS}g}"
