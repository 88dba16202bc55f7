"""Which parts a run's own process knows: ours, those of plug-ins and of installed packages, but none that a notebook or
a program has registered in its own process."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence

from benchmarks.common.errors import UsageError
from benchmarks.config.settings import Run
from benchmarks.runner.workspace import Workspace
from priors.plugins import GROUPS, Added, load_plugin
from priors.registry import PRIORS, REGISTRIES


def refuse_unknown(runs: Sequence[Run], workspace: Workspace) -> None:
    """Raises UsageError for the first part of a run that another process would not know."""
    brought = {part for path in workspace.plugins for part in load_plugin(path)}
    foreign = {Added(one.kind, name): one.module_of(name) for one in REGISTRIES for name in one.foreign()}
    installed = {
        point.module.partition(".")[0] for group in GROUPS for point in importlib.metadata.entry_points(group=group)
    }
    for part in dict.fromkeys(part for run in runs for part in parts_of(run)):
        if part in foreign and part not in brought and foreign[part].partition(".")[0] not in installed:
            raise UsageError(
                f"The {part.kind} '{part.name}' is registered in this process alone, and a run has a process of its "
                "own: give the Python file that registers it as a plug-in, or take the executor 'serial'."
            )


def parts_of(run: Run) -> Iterator[Added]:
    """The parts that a run is made of and evaluated by."""
    yield from run.built
    yield Added("data set", run.loader)
    yield from (Added("metric", name) for name in run.metrics)
    if run.prior:
        yield Added(PRIORS.kind, run.prior.name)
