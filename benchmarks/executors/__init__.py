"""Ways to carry out a list of runs. An executor yields outcomes as they come and knows nothing of what a run is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks.execute import Outcome
from benchmarks.executors.local import local
from benchmarks.executors.serial import serial
from benchmarks.settings import Run
from benchmarks.workspace import Workspace

Executor = Callable[[Sequence[Run], Workspace, int], Iterator[Outcome]]

EXECUTORS: dict[str, Executor] = {"local": local, "serial": serial}
