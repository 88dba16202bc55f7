"""What finished runs left, by their records or a table's ledger: a table's cells before anything is averaged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from benchmarks.config.settings import Run
from benchmarks.estimators.estimate import Estimate
from benchmarks.runner.record import Damaged, Record
from benchmarks.runner.workspace import Workspace
from benchmarks.tables.ledger import Entry, Ledger

Images = Callable[[], np.ndarray | None]
"""Reads what an estimate is the mean of, image by image; None where that was not kept, or is not as it was."""


@dataclass(frozen=True)
class Kept:
    """An estimate of one run. images: what it is the mean of, where it is the mean of something."""

    seed: int
    estimate: Estimate
    images: Images


@dataclass(frozen=True)
class Ended:
    """What one run left: how training ended with its costs, estimates by metric, and what made it; and its record.

    here: is the record on this disk, or was all of this in the ledger?
    """

    seed: int
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    by: tuple[dict[str, str], ...]
    record: Record
    here: bool = True

    @property
    def status(self) -> str:
        """How training ended."""
        status: str = self.training["status"]
        return status

    def unsupported(self, name: str) -> str:
        """Why a metric is undefined for the run; empty where it is not."""
        reason: str = self.metrics["metrics"][name].get("unsupported", "")
        return reason

    def estimates(self, name: str) -> Iterator[Kept]:
        """The estimates of a metric, by the suite's name of it."""
        files = self.metrics.get("files", {})
        for kept in self.metrics["metrics"][name].get("figures", ()):
            estimate = Estimate.from_dict(kept)
            key = f"{estimate.metric} {estimate.estimator}"
            yield Kept(self.seed, estimate, partial(images, self.record, files, name, key))

    def costs(self) -> Iterator[Estimate]:
        """What training took."""
        return map(Estimate.from_dict, self.training["cost"])


@dataclass(frozen=True)
class Cell:
    """All seeds of a method on a data set: the runs that were asked for, and what those that ended left."""

    runs: tuple[Run, ...]
    ended: tuple[Ended, ...]
    failures: tuple[str, ...] = ()

    @property
    def run(self) -> Run:
        """The first of the runs: all but its seed is the others' too."""
        return self.runs[0]

    def having(self, status: str) -> list[Ended]:
        """The runs that ended so."""
        return [one for one in self.ended if one.status == status]


def cells(runs: Sequence[Run], workspace: Workspace, ledger: Ledger = MappingProxyType({})) -> list[Cell]:
    """The runs by data set and method, in the suite's order. ledger: has those whose records are not on this disk."""
    grouped: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        grouped.setdefault((run.dataset, run.method), []).append(run)
    return [_cell(group, workspace, ledger) for group in grouped.values()]


def _cell(runs: Sequence[Run], workspace: Workspace, ledger: Ledger) -> Cell:
    ended, failures = [], []
    for run in runs:
        record = workspace.record(run)
        try:
            if workspace.done(run):
                ended.append(_ended(run, record))
            elif failure := record.failure():
                failures.append(failure)
            elif not record.folder.is_dir() and (entry := known(run, ledger)):
                ended.append(_of_entry(entry, record))
        except Damaged as error:
            failures.append(f"{error.name} {error.why}")
    return Cell(tuple(runs), tuple(ended), tuple(failures))


def _ended(run: Run, record: Record) -> Ended:
    training, metrics, made = (record.read(f"{name}.json") for name in ("training", "metrics", "made"))
    for name, content in (("training.json", training), ("made.json", made)):
        if content is None:
            raise Damaged(record.folder / name, "is missing")
    return Ended(run.seed, training, metrics or {}, tuple(made["by"]), record)


def known(run: Run, ledger: Ledger) -> Entry | None:
    """What the ledger has of a run as it is asked for today."""
    entry = ledger.get(run.name)
    return entry if entry and entry.evaluation == run.evaluation else None


def _of_entry(entry: Entry, record: Record) -> Ended:
    metrics = {"hash": entry.protocol, "metrics": entry.metrics}
    return Ended(entry.seed, entry.training, metrics, tuple(dict(by) for by in entry.by), record, here=False)


def images(record: Record, files: Mapping[str, Sequence[Any]], asked: str, key: str) -> np.ndarray | None:
    """What an estimate of a run is the mean of, image by image; None where that was not kept, or is not as it was.

    files: those that `metrics.json` vouches for. asked: the suite's name of the metric. key: the estimate's own metric
    and estimator.
    """
    name = f"values/{asked}.safetensors"
    if name not in files:
        return None
    try:
        record.check(name, files[name])
        with safe_open(record.folder / name, framework="np") as file:
            return file.get_tensor(key).astype(float) if key in file.keys() else None  # noqa: SIM118 (no mapping)
    except (Damaged, SafetensorError, OSError):
        return None


def trouble(runs: Sequence[Run], workspace: Workspace) -> bool:
    """Has any of the runs failed or diverged, in this command or an earlier one, or an estimate that is no number?"""
    return any(cell.failures or cell.having("diverged") or _not_finite(cell) for cell in cells(runs, workspace))


def _not_finite(cell: Cell) -> bool:
    results = [result for one in cell.having("ok") for result in one.metrics["metrics"].values()]
    return not all(math.isfinite(estimate["value"]) for result in results for estimate in result.get("figures", ()))
