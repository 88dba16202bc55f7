"""Rows of runs that a suite no longer has and whose records are not on this disk: kept, and marked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.common.rows import NO_MODEL
from benchmarks.config.settings import Run
from benchmarks.config.suite import Suite
from benchmarks.estimators.estimate import Estimate
from benchmarks.runner.workspace import Workspace
from benchmarks.tables.ledger import Entry, Ledger, here
from benchmarks.tables.means import over_seeds

NOTE = "of settings that the suite no longer has, or of a plug-in that was not named"


def entries(runs: Sequence[Run], workspace: Workspace, ledger: Ledger) -> list[Entry]:
    """Those of the ledger that are none of today's runs. What is on the disk is not lost where it leaves the table."""
    now = {(run.name, run.evaluation) for run in runs}
    suites = {run.suite for run in runs}
    return [
        entry
        for name, entry in ledger.items()
        if (name, entry.evaluation) not in now and not here(name, workspace, suites)
    ]


def rows(suite: Suite, left: Iterable[Entry]) -> list[dict[str, Any]]:
    """A row an estimate of the same settings, over their seeds. They are ranked with nothing."""
    groups: dict[str, list[Entry]] = {}
    for entry in left:
        groups.setdefault(json.dumps([entry.settings, entry.protocol], sort_keys=True), []).append(entry)
    return [row for group in groups.values() for row in _rows(suite, group)]


def _rows(suite: Suite, group: Sequence[Entry]) -> Iterable[dict[str, Any]]:
    found: dict[tuple[str, str], list[Estimate]] = {}
    for entry in group:
        for metric in entry.metrics.values():
            for kept in metric.get("figures", ()):
                found.setdefault((kept["metric"], kept["estimator"]), []).append(Estimate.from_dict(kept))
    for estimates in found.values():
        yield {**_head(suite, group[0]), **over_seeds(estimates), "status": "former", "note": NOTE, "remark": NOTE}


def _head(suite: Suite, entry: Entry) -> dict[str, Any]:
    prior, model = entry.settings["prior"], entry.settings["model"]
    names = {"prior": prior["name"] if prior else NO_MODEL, "model": model["type"] if prior else NO_MODEL}
    return {"suite": suite.name, "dataset": entry.dataset, "method": entry.method, "protocol": entry.protocol, **names}
