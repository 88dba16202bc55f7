"""Tables that a check compares: one that was written before, and one of runs made anew."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.console import Console

from benchmarks.common.errors import UsageError
from benchmarks.config import suite
from benchmarks.config.suite import Request, Suite
from benchmarks.runner import campaign
from benchmarks.runner.executors import Resources
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import aggregate, table
from benchmarks.tables.changes import counted
from benchmarks.tables.drift import own


def read(path: Path, remedy: str) -> pd.DataFrame:
    """A suite's rows of its own estimates; UsageError with the remedy where there is no such file."""
    return own(table.read(path, remedy)[0])


def rerun(chosen: Suite, request: Request, workspace: Workspace, workers: int, console: Console) -> pd.DataFrame:
    """The rows of what is asked for by the code as it now is. Nothing that is finished is in the workspace."""
    wanted, _ = campaign.prepare(suite.expand(chosen, request), workspace)
    console.print(f"{chosen.title}: {len(wanted)} runs", highlight=False)
    campaign.carry_out(wanted, workspace, console, resources=Resources(workers))
    return own(aggregate.build(chosen, wanted, workspace)[0])


def update(found: pd.DataFrame, path: Path, least: int, better: int, console: Console) -> None:
    """Writes the baseline. Raises UsageError where the seeds are fewer than `least`: too few to show their spread."""
    seeds = found["n"].max()
    if seeds < least:
        raise UsageError(f"A baseline takes {least} seeds, better {better}, and these estimates are of {seeds}.")
    table.write(found, path)
    console.print(f"baseline: {path}, {counted(found['status'])}", highlight=False, soft_wrap=True)
