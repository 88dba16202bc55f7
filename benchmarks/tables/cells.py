"""A table's texts made harmless for a spreadsheet, and read back."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from benchmarks.common.escape import cell, uncell


def cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with `cell` over its texts and its columns' names; numbers stay as they are."""
    return _over(frame, cell).rename(columns=lambda name: cell(name) if isinstance(name, str) else name)


def uncells(frame: pd.DataFrame) -> pd.DataFrame:
    """The table that `cells` was given, read back."""
    return _over(frame, uncell)


def _over(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    texts = [name for name in frame.columns if frame[name].map(lambda one: isinstance(one, str)).any()]
    changed = {name: frame[name].map(lambda one: change(one) if isinstance(one, str) else one) for name in texts}
    return frame.assign(**changed)
