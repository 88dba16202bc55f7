"""What the runs of a table took, where no table of costs is at hand: by its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.estimators.estimate import Estimate
from benchmarks.tables.ledger import Entry, Ledger
from benchmarks.tables.means import of_one_kind, over_seeds
from benchmarks.tables.table import COLUMNS


def spent(ledger: Ledger) -> pd.DataFrame:
    """A row a cost of training, over the seeds of each method on a data set; those of runs that ended well alone."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for one in ledger.values():
        if one.training["status"] == "ok":
            groups.setdefault((one.dataset, one.method), []).append(one)
    rows = [row for cell, entries in groups.items() for row in _rows(cell, entries)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(cell: tuple[str, str], entries: Sequence[Entry]) -> list[dict[str, Any]]:
    costs = of_one_kind(map(Estimate.from_dict, one.training["cost"]) for one in entries)
    dataset, method = cell
    return [{"dataset": dataset, "method": method, "status": "ok", **over_seeds(of_seeds)} for of_seeds in costs]
