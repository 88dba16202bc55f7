"""From a selection of runs to files of another tool."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmarks.cli import Selection, check_folder, workspace_of
from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.extras import check_there
from benchmarks.common.started import program
from benchmarks.config import suite
from benchmarks.export.exported import Exported
from benchmarks.export.targets import TARGETS


def export(selection: Selection, to: str, out: Path | None, console: Console) -> None:
    """Writes the finished ones of these runs; UsageError where there is none, or the tool's package is not there."""
    if to not in TARGETS:
        raise unknown("tool", to, TARGETS)
    target = TARGETS[to]
    if target.package:
        check_there(target.package, to, f"Exporting to {to}")
    check_folder("--out", out)
    runs, others = finished(selection)
    where = out or selection.results / "export" / to
    where.mkdir(parents=True, exist_ok=True)
    told = target.write(runs, where)
    left = f" ({others} more are not finished)" if others else ""
    console.print(f"{len(runs)} runs{left}: {told}", highlight=False, markup=False, soft_wrap=True)


def finished(selection: Selection) -> tuple[list[Exported], int]:
    """(the runs that are done, how many are not), those of the data alone left out."""
    request, workspace = selection.request(), workspace_of(selection)
    every = [run for run in suite.expand(suite.read(selection.suite), request) if run.prior is not None]
    done = [Exported(run, workspace.record(run)) for run in every if workspace.done(run)]
    if not done:
        how = f"`{program('run')} --suite {selection.suite}` runs them"
        raise UsageError(f"None of the {len(every)} runs is finished in {selection.results}: {how}.")
    return done, len(every) - len(done)
