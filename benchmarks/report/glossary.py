"""What the estimators of a table are."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

import pandas as pd

from benchmarks.common.settings import Settings
from benchmarks.estimators.estimator import Estimator

FILE = Path(__file__).parent / "glossary.toml"

Words = tuple[str, ...] | str


class Entry(Settings):
    """The meaning of the estimators that have all of the parts given."""

    term: str
    meaning: str
    kind: Words = ()
    of: Words = ()
    certainty: Words = ()
    variant: Words = ()

    def fits(self, how: Estimator) -> bool:
        """Is the estimator one of these?"""
        asked = ((self.kind, how.kind), (self.of, how.of), (self.certainty, how.certainty), (self.variant, how.variant))
        return all(part in (words if isinstance(words, tuple) else (words,)) for words, part in asked if words)


@lru_cache
def entries() -> tuple[Entry, ...]:
    """Those of the file, in its order."""
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))["entry"]
    return tuple(Entry(**one) for one in found)


def of(frame: pd.DataFrame) -> dict[str, str]:
    """The meanings, by term, of the estimators that the table has."""
    present = [Estimator.parse(name) for name in frame["estimator"].dropna().unique()]
    return {one.term: one.meaning.strip() for one in entries() if any(map(one.fits, present))}
