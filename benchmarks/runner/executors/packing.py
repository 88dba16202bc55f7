"""Which runs share a job on a cluster: short ones, and seeds that are trained together."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from benchmarks.config.settings import Run
from benchmarks.runner.executors.resources import Resources
from benchmarks.runner.together import groups
from benchmarks.runner.workspace import Workspace

FULL = 0.8
"""Of a job's minutes, what runs are packed into: nodes differ, and a job takes seconds to begin."""

MINUTES = 240.0
"""A job's, where nothing was said."""


def pack(runs: Sequence[Run], workspace: Workspace, resources: Resources) -> list[tuple[Run, ...]]:
    """The runs of each job: so many, or as many as its minutes have room for by what earlier runs of their method took.
    Of a method that has never run, what is trained together has a job of its own."""
    parts = groups(runs, workspace, 1)
    if resources.runs_a_job:
        return packed(parts, lambda part: len(part) / resources.runs_a_job)
    room = 60 * FULL * (resources.minutes_a_job or MINUTES) * resources.in_a_job
    seconds = {cell(run): took(run, workspace) for run in runs}
    return packed(parts, lambda part: sum((seconds[cell(run)] or room) / room for run in part))


def packed(parts: Sequence[tuple[Run, ...]], share: Callable[[tuple[Run, ...]], float]) -> list[tuple[Run, ...]]:
    """Parts in their order, none of them divided, a new job where the next part would overfill the last.

    share: how much of a job a part fills.
    """
    bundles: list[tuple[Run, ...]] = []
    filled = 0.0
    for part in parts:
        if bundles and filled + share(part) <= 1 + 1e-9:
            bundles[-1] += part
        else:
            bundles.append(part)
            filled = 0.0
        filled += share(part)
    return bundles


def cell(run: Run) -> tuple[str, str]:
    """What its time depends on: runs of a suite that differ in the seed take the same."""
    return run.dataset, run.method


def took(run: Run, workspace: Workspace) -> float | None:
    """Seconds of runs of this cell that are done, by when the first and last files of their records were written; the
    median, or None where there are none."""
    folder = workspace.record(run).folder.parent
    times = []
    for done in folder.glob(f"{run.name.rpartition('-s')[0]}-s*/done"):
        begun = done.with_name("config.json")
        if begun.is_file():
            times.append(done.stat().st_mtime - begun.stat().st_mtime)
    return max(0.1, statistics.median(times)) if times else None
