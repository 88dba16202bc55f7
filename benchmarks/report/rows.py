"""The rows of a suite's table as they were written, and the numbers of a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.console import text, value
from benchmarks.suite import SECTIONS
from benchmarks.table import DIGITS

Row = dict[str, Any]

TRIAL = re.compile(rf"preset \S+: |({'|'.join(SECTIONS)})\.\S+=")
"""Begins the part of a note that tells what a trial was run with."""


@dataclass(frozen=True)
class Number:
    """What is shown of a number, and all of its digits, by which rows are sorted; both empty for none."""

    shown: str = ""
    value: str = ""


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
