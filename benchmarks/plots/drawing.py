"""All figures of a suite's finished runs, drawn where a command says."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from benchmarks.cli import Selection, workspace_of
from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.started import program
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.plots import gallery
from benchmarks.plots.base import PLOTS, Results
from benchmarks.runner.machine import prepare_worker
from benchmarks.runner.workspace import Workspace


def draw(selection: Selection, console: Console, kinds: Sequence[str] = (), pdf: bool = False) -> None:
    """Draws into RESULTS/figures/NAME, and tells every figure as it is written. kinds: of PLOTS (default: all). pdf: as
    PDF too."""
    written = gallery.KINDS + ("pdf",) * pdf
    for name in kinds:
        if name not in PLOTS:
            raise unknown("figure", name, PLOTS)
    chosen = suite.read(selection.suite)
    workspace = workspace_of(selection)
    prepare_worker(workspace.device)
    runs = finished(suite.expand(chosen, selection.request()), workspace, selection)
    folder = selection.results / "figures" / selection.output(chosen)
    with console.status("drawing"):
        for shown in gallery.draw(Results(chosen, runs, workspace), folder, tuple(kinds) or tuple(PLOTS), written):
            what = f"{folder / shown.file}.png" if shown.file else f"no {shown.plot}: {shown.caption}"
            console.print(what, highlight=False, markup=False, soft_wrap=True, style=None if shown.file else "dim")


def finished(wanted: Sequence[Run], workspace: Workspace, selection: Selection) -> tuple[Run, ...]:
    """Those of the runs that have ended well; UsageError where none has."""
    runs = tuple(
        run for run in wanted if workspace.done(run) and workspace.record(run).read("training.json")["status"] == "ok"
    )
    if not runs:
        raise UsageError(
            f"No run of {selection.suite} has ended below {selection.results}: run it first by "
            f"`{program('run')} --suite {selection.suite}` with the same flags."
        )
    return runs
