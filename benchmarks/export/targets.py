"""The tools that runs are exported to, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.export import hub, parquet, trackers
from benchmarks.export.exported import Exported

Write = Callable[[Sequence[Exported], Path], str]
"""Writes the runs below a folder, and says how to look at them."""


@dataclass(frozen=True)
class Target:
    """One tool. package: what it needs, which the extra of its own name installs; empty where it needs none."""

    package: str
    write: Write


TARGETS = {
    "tensorboard": Target("tensorboard", trackers.tensorboard),
    "mlflow": Target("mlflow", trackers.mlflow),
    "wandb": Target("wandb", trackers.wandb),
    "trackio": Target("trackio", trackers.trackio),
    "hub": Target("", hub.write),
    "parquet": Target("pyarrow", parquet.write),
}
