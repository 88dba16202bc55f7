"""What every run of a table left, in two files beside it, so that each number can be traced, and rows can be added
where the other rows' runs are not.

RESULTS/SUITE.runs.csv has a row for each estimate of each run. RESULTS/SUITE.runs.json has what made the run: settings,
machine, versions, sources, data, weights and date. The CSV is written first, and rows of runs that the JSON does not
name count for nothing: a process that ends between the two loses no run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.errors import UsageError
from benchmarks.common.files import write_atomically
from benchmarks.common.rows import records
from benchmarks.config.settings import Run
from benchmarks.runner.record import Damaged, Record
from benchmarks.runner.workspace import Workspace
from benchmarks.tables.cells import cells, uncells

FORMAT = 1

COLUMNS = (
    *("run", "dataset", "method", "seed", "asked", "metric", "estimator", "value", "error"),
    *("unit", "direction", "alarm", "remarks", "protocol"),
)
"""asked: the suite's name of the metric. error: within the run, over images or draws. remarks: as JSON, each its words
and its numbers. protocol: the hash of all that makes two estimates comparable."""


@dataclass(frozen=True)
class Entry:
    """One run that has ended. settings: all but its seed. environment: machine, packages and commit. by: the sources
    and versions that made it. data, weights: SHA-256 (weights: empty where nothing was trained). ended: day and time in
    UTC. training: its status with a note, and costs. metrics: estimates, or why there are none, by the suite's names.
    """

    seed: int
    evaluation: str
    protocol: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    by: Sequence[Mapping[str, str]]
    data: str
    weights: str
    ended: str
    training: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]

    @property
    def dataset(self) -> str:
        return str(self.settings["dataset"])

    @property
    def source(self) -> str:
        """The data set as a command is asked for it: with its folder, where it is one."""
        return str(self.settings.get("source") or self.dataset)

    @property
    def sources(self) -> str:
        """The digests of the project's sources that made the run."""
        return ", ".join(dict.fromkeys(by["sources"] for by in self.by))

    @property
    def method(self) -> str:
        return str(self.settings["method"])


Ledger = Mapping[str, Entry]
"""Entries by the names of their runs."""

SHARED = ("settings", "environment")
"""What many runs have alike: written once, and named by its place."""


def files(target: Path) -> tuple[Path, Path]:
    """(the CSV, the JSON) of the table `target`, which is without its ending."""
    return target.with_name(f"{target.name}.runs.csv"), target.with_name(f"{target.name}.runs.json")


# From records


def entries(runs: Iterable[Run], workspace: Workspace, before: Ledger) -> dict[str, Entry]:
    """The runs that have ended, as their records have them, then those of before that are not on this disk."""
    runs = list(runs)
    found = {run.name: entry for run in runs if (entry := entry_of(run, workspace))}
    suite = {run.suite for run in runs}
    return found | {name: one for name, one in before.items() if name not in found and not here(name, workspace, suite)}


def here(name: str, workspace: Workspace, suites: Iterable[str]) -> bool:
    """Has a run of this name a folder on this disk?"""
    return any((workspace.results / "runs" / suite / name).is_dir() for suite in suites)


def entry_of(run: Run, workspace: Workspace) -> Entry | None:
    """What a run left; None where it has not ended, or cannot be read."""
    record = workspace.record(run)
    try:
        return _entry(run, record) if workspace.done(run) else None
    except (Damaged, KeyError, OSError):
        return None


def _entry(run: Run, record: Record) -> Entry:
    config, environment, made, training = (
        record.read(f"{name}.json") for name in ("config", "env", "made", "training")
    )
    metrics = record.read("metrics.json") or {"metrics": {}, "hash": ""}
    weights = training["files"].get("weights.safetensors", ("", "", ""))[2]
    day = datetime.fromtimestamp((record.folder / "done").stat().st_mtime, UTC)
    return Entry(
        seed=run.seed,
        evaluation=run.evaluation,
        protocol=metrics["hash"],
        settings={key: value for key, value in config.items() if key != "seed"},
        environment=environment,
        by=made["by"],
        data=made["data"],
        weights=weights,
        ended=day.isoformat(timespec="seconds"),
        training={key: value for key, value in training.items() if key != "files"},
        metrics={name: metrics["metrics"][name] for name in run.metrics if name in metrics["metrics"]},
    )


# On the disk


def write(ledger: Ledger, target: Path) -> None:
    """Both files of the table."""
    values, rest = files(target)
    text = cells(frame(ledger)).to_csv(index=False, lineterminator="\n")
    write_atomically(values, lambda file: file.write(text.encode()))
    content = json.dumps(packed(bare(ledger)), indent=1) + "\n"
    write_atomically(rest, lambda file: file.write(content.encode()))


def frame(ledger: Ledger) -> pd.DataFrame:
    """A row an estimate of a run."""
    rows = [row for name, entry in ledger.items() for row in _rows(name, entry)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(name: str, entry: Entry) -> Iterable[dict[str, Any]]:
    head = {"run": name, "seed": entry.seed, "dataset": entry.dataset, "method": entry.method}
    for asked, found in entry.metrics.items():
        for one in found.get("figures", ()):
            remarks = json.dumps(one["remarks"]) if one.get("remarks") else ""
            yield {**one, **head, "asked": asked, "remarks": remarks, "protocol": entry.protocol}


def bare(ledger: Ledger) -> dict[str, Entry]:
    """Without estimates, which the CSV has."""
    return {
        name: replace(entry, metrics={key: _bare(one) for key, one in entry.metrics.items()})
        for name, entry in ledger.items()
    }


def packed(ledger: Ledger) -> dict[str, Any]:
    """As JSON has it: what runs share is there once."""
    once: dict[str, list[Any]] = {key: [] for key in SHARED}
    runs = {}
    for name, entry in ledger.items():
        content = dict(vars(entry))
        for key, values in once.items():
            if content[key] not in values:
                values.append(content[key])
            content[key] = values.index(content[key])
        runs[name] = content
    return {"format": FORMAT, **once, "runs": runs}


def _bare(metric: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in metric.items() if key != "figures"}
    return {**rest, "estimates": len(metric.get("figures", ()))}


def read(target: Path) -> dict[str, Entry]:
    """The ledger of a table; empty where it has none. UsageError for one that cannot be read."""
    values, rest = files(target)
    if not rest.is_file():
        return {}
    try:
        content = json.loads(rest.read_text(encoding="utf-8"))
        table = pd.read_csv(values, dtype=str, keep_default_na=False)  # floats as Python reads them: to the last digit
        return _unpacked(content, uncells(table))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UsageError(
            f"{rest} and {values.name} are not as they were written ({type(error).__name__}): put them back, or move "
            f"them and {target.name}.csv away."
        ) from None


def _unpacked(content: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Entry]:
    estimates: dict[str, dict[str, list[Any]]] = {}
    for row in records(table):
        estimates.setdefault(row["run"], {}).setdefault(row["asked"], []).append(_estimate(row))
    ledger = {}
    for name, entry in unpacked(content).items():
        metrics = {key: _metric(one, estimates.get(name, {}).get(key, [])) for key, one in entry.metrics.items()}
        ledger[name] = replace(entry, metrics=metrics)
    return ledger


def unpacked(content: Mapping[str, Any]) -> dict[str, Entry]:
    """What `packed` has made."""
    return {
        name: Entry(**{**run, **{key: content[key][run[key]] for key in SHARED}})
        for name, run in content["runs"].items()
    }


def _metric(rest: Mapping[str, Any], estimates: Sequence[Any]) -> dict[str, Any]:
    """A metric's estimates with what else is known of it. ValueError where some are lost."""
    if len(estimates) < rest["estimates"]:
        raise ValueError("estimates are missing")
    own = {key: value for key, value in rest.items() if key != "estimates"}
    return {**own, "figures": estimates} if estimates else own


def _estimate(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: row[name] for name in ("metric", "estimator", "unit", "direction", "alarm")}
    numbers = {"value": float(row["value"]), "error": float(row["error"]) if row["error"] else None}
    return {**kept, **numbers, "remarks": json.loads(row["remarks"] or "[]")}
