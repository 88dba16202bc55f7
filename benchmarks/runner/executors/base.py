"""What an executor is, and executors by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome
from benchmarks.runner.executors.resources import Resources
from benchmarks.runner.workspace import Workspace
from priors.registry import Registry

Executor = Callable[[Sequence[Run], Workspace, Resources], Iterator[Outcome]]
"""Carries out runs in a workspace with what they may use, and yields outcomes as they come. A run that another process
holds has the outcome "elsewhere" at once: who called comes back with it."""

EXECUTORS: Registry[Executor] = Registry(
    "executor",
    tuple(f"benchmarks.runner.executors.{name}" for name in ("local", "serial", "slurm", "ray")),
    callable,
    "a function (runs, workspace, resources) -> outcomes",
    '@EXECUTORS.register("name")',
)
