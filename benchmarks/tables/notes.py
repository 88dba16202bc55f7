"""What is said of rows, as footnotes: each text once, by a letter, and once above them what all rows share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

PARTS = ("remark", "left_out", "trial", "standing_reason", "verdict_reason")
"""The columns that footnotes are made of, in this order."""

IN_WORDS = {"verdict_reason": "not comparable: {}"}
"""What a reader is told of a column whose text does not stand alone."""

Row = Mapping[str, Any]


class Notes:
    """Footnotes: each distinct text gets a letter. said: parts that are told elsewhere."""

    def __init__(self, said: Sequence[str] = ()):
        self.said = said
        self.letters: dict[str, str] = {}

    def mark(self, row: Row) -> str:
        """The letter of a row's footnote; empty where there is nothing more to say of it."""
        told = "; ".join(part for part in parts(row) if part not in self.said)
        return self.letter(told) if told else ""

    def letter(self, told: str) -> str:
        """The letter of a text."""
        return self.letters.setdefault(told, letters(len(self.letters)))

    @property
    def footnotes(self) -> dict[str, str]:
        """The texts by their letters."""
        return {letter: told for told, letter in self.letters.items()}


def parts(row: Row) -> list[str]:
    """What is said of a row, column by column."""
    return [IN_WORDS.get(name, "{}").format(told) for name in PARTS if (told := text(row[name]))]


def shared(rows: Iterable[Row]) -> tuple[str, ...]:
    """What is said of every one of several rows."""
    first, *others = [parts(row) for row in rows] or [[]]
    return tuple(part for part in first if all(part in other for other in others)) if others else ()


def letters(n: int) -> str:
    """a, b, ..., z, aa, ab, ..., from n = 0."""
    return (letters(n // 26 - 1) if n >= 26 else "") + chr(ord("a") + n % 26)


def text(value: Any) -> str:
    """A cell's text; empty where it has none."""
    return "" if pd.isna(value) else str(value)
