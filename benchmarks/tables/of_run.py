"""What one finished run left, as tables: its estimates, and the losses of its training."""

from __future__ import annotations

from typing import Any

import pandas as pd

from benchmarks.estimators.estimate import Estimate
from benchmarks.runner.record import Record

COLUMNS = ("metric", "estimator", "value", "error", "unit", "direction", "alarm", "note")
"""Of estimates. error: over images or draws; of one run there is none over seeds."""


def estimates(record: Record) -> pd.DataFrame:
    """A run's estimates. A metric that is undefined for the run has a row without a value, whose note says why."""
    rows: list[dict[str, Any]] = []
    for name, result in ((record.read("metrics.json") or {}).get("metrics", {})).items():
        rows += [row(Estimate.from_dict(kept)) for kept in result.get("figures", ())]
        if reason := result.get("unsupported"):
            rows.append({"metric": name, "note": reason})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def row(one: Estimate) -> dict[str, Any]:
    """An estimate by column."""
    kept = {name: getattr(one, name) for name in ("metric", "value", "error", "unit", "direction", "alarm")}
    return {**kept, "estimator": str(one.estimator), "note": "; ".join(map(str, one.remarks))}


def history(record: Record) -> pd.DataFrame:
    """The losses of a run's training by epoch; empty where it had none."""
    path = record.folder / "history.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame({"epoch": []})
