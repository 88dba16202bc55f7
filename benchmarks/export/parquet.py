"""Tables as columns, with their types: for pandas, polars, DuckDB and what else reads Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.export.exported import Exported


def write(runs: Sequence[Exported], where: Path) -> str:
    """estimates.parquet, a row an estimate of a run; history.parquet, a row an epoch; runs.parquet, settings."""
    tables: dict[str, list[dict[str, Any]]] = {
        "estimates": [row for one in runs for row in estimates(one)],
        "history": [{"run": one.name, "epoch": epoch, **losses} for one in runs for epoch, losses in one.history],
        "runs": [{"run": one.name, **one.settings} for one in runs],
    }
    for name, rows in tables.items():
        pd.DataFrame(rows).to_parquet(where / f"{name}.parquet", index=False)
    return f"{', '.join(f'{name}.parquet' for name in tables)} in {where}"


def estimates(one: Exported) -> list[dict[str, Any]]:
    """A run's estimates, by column."""
    about = {"run": one.name, "dataset": one.run.dataset, "method": one.run.method, "seed": one.run.seed}
    return [{**about, "estimate": name, **measured._asdict()} for name, measured in one.estimates.items()]
