"""What the estimators of a table are."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path

import pandas as pd

FILE = Path(__file__).parent / "glossary.toml"


@lru_cache
def entries() -> list[dict[str, str]]:
    """Those of the file, in its order: pattern, term and meaning."""
    found: list[dict[str, str]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["entry"]
    return found


def of(frame: pd.DataFrame) -> dict[str, str]:
    """The meanings, by term, of the estimators that the table has."""
    present = frame["estimator"].dropna().unique()
    found = [one for one in entries() if any(re.search(one["pattern"], name) for name in present)]
    return {one["term"]: one["meaning"].strip() for one in found}
