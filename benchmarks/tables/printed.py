"""A table that was written before, printed for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.common.errors import unknown
from benchmarks.tables import table
from benchmarks.tables.formats import FORMATS
from benchmarks.tables.paper import paper


def read(path: Path, datasets: Sequence[str] = (), methods: Sequence[str] = ()) -> pd.DataFrame:
    """The table's rows of these data sets and methods, in their order; UsageError with the near name for others."""
    frame, _ = table.read(path, "run the suite first, or name another folder with --results")
    frame = only(frame, "dataset", "data set", datasets)
    return only(frame, "method", "method", methods)


def only(frame: pd.DataFrame, column: str, kind: str, names: Sequence[str]) -> pd.DataFrame:
    """The rows that have one of these names in a column, in the order of the names; all where there are none."""
    known = frame[column].dropna().unique()
    for name in names:
        if name not in known:
            raise unknown(kind, name, known)
    return pd.concat([frame[frame[column] == name] for name in dict.fromkeys(names)]) if names else frame


def printed(frame: pd.DataFrame, metrics: Sequence[str], estimators: Sequence[str], form: str) -> str:
    """The text of the table in a format of FORMATS."""
    return FORMATS[form](paper(frame, metrics, estimators))
