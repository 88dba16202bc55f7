"""What an executor is, and executors by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks.execute import Outcome, Place
from benchmarks.settings import Run
from priors.registry import Registry

Executor = Callable[[Sequence[Run], Place, int], Iterator[Outcome]]
"""Carries out runs at a place with so many workers, and yields outcomes as they come."""

EXECUTORS: Registry[Executor] = Registry(
    "executor",
    ("benchmarks.executors.local", "benchmarks.executors.serial"),
    callable,
    "a function (runs, place, workers) -> outcomes",
    '@EXECUTORS.register("name")',
)
