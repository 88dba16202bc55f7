"""What the methods of a suite took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.report.rows import Number, having, mean
from benchmarks.tables.notes import text


@dataclass(frozen=True)
class Costs:
    """On a data set: costs with their units, and a row a method with (mean, standard error) of each."""

    dataset: str
    columns: Mapping[str, str]
    rows: Mapping[str, tuple[tuple[Number, Number], ...]]


def costs(frame: pd.DataFrame) -> list[Costs]:
    """A table a data set."""
    shown = frame[frame["status"] == "ok"]
    return [_costs(str(dataset), one) for dataset, one in shown.groupby("dataset", sort=False)]


def _costs(dataset: str, frame: pd.DataFrame) -> Costs:
    found: dict[str, dict[str, tuple[Number, Number]]] = {}
    columns: dict[str, str] = {}
    for row in having(frame, "ok"):
        found.setdefault(row["method"], {})[row["metric"]] = mean(row)
        columns[row["metric"]] = text(row["unit"])
    none = (Number(), Number())
    rows = {method: tuple(cells.get(name, none) for name in columns) for method, cells in found.items()}
    return Costs(dataset, columns, rows)
