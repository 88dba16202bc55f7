"""What made a table: the machine, versions and sources of its runs, beside the CSV."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common.files import write_atomically
from benchmarks.config.settings import Run
from benchmarks.runner.record import Damaged
from benchmarks.runner.workspace import Workspace


def write(runs: Sequence[Run], workspace: Workspace, path: Path) -> None:
    """A JSON file: for each set of machine, versions and sources that made runs of the table, these and how many runs
    of which methods they made. Runs that have not ended, or cannot be read, are left out."""
    groups: dict[str, dict[str, Any]] = {}
    for run in runs:
        for by in makers(run, workspace):
            group = groups.setdefault(json.dumps(by, sort_keys=True), {"by": by, "runs": 0, "methods": {}})
            group["runs"] += 1
            group["methods"][run.method] = group["methods"].get(run.method, 0) + 1
    if groups:
        text = json.dumps([*groups.values()], indent=1, sort_keys=True) + "\n"
        write_atomically(path, lambda file: file.write(text.encode()))


def makers(run: Run, workspace: Workspace) -> list[dict[str, Any]]:
    """The environment that a run ended in, with each of the sources that went into it."""
    record = workspace.record(run)
    try:
        if not workspace.done(run):
            return []
        environment, made = record.read("env.json"), record.read("made.json")
    except Damaged:
        return []
    return [{**environment, **by} for by in made["by"]]
