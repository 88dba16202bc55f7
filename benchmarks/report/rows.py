"""The rows of a suite's table as they were written, and the numbers of a page."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from benchmarks.common.rows import Row, records
from benchmarks.tables.console import value
from benchmarks.tables.notes import text
from benchmarks.tables.table import DIGITS


@dataclass(frozen=True)
class Number:
    """What is shown of a number, and all of its digits, by which rows are sorted; both empty for none."""

    shown: str = ""
    value: str = ""


def having(frame: pd.DataFrame, *statuses: str) -> list[Row]:
    """The rows of these statuses."""
    return records(frame[frame["status"].isin(statuses)])


def trial(frame: pd.DataFrame) -> tuple[str, ...]:
    """What the rows were run with in the place of the suite's own settings; empty where they are no trial."""
    return tuple(dict.fromkeys(told for row in frame["trial"] if (told := text(row))))


def mean(row: Row) -> tuple[Number, Number]:
    """(mean, standard error) of a row; a count is shown whole."""
    shown, error = value(row)
    if text(row["unit"]) == "count" and row["status"] == "ok":
        shown = f"{row['mean']:,.0f}"
    return Number(shown, exact(row["mean"])), Number(error, error.strip("()"))


def count(row: Row) -> Number:
    """How many seeds; none for a number of a paper alone."""
    return Number(str(row["n"]), str(row["n"])) if row["status"] == "ok" else Number()


def exact(number: float) -> str:
    """As the table has it."""
    return "" if pd.isna(number) else f"{number:.{DIGITS}g}"
