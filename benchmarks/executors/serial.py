"""One run after another, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.execute import Outcome, Place, execute
from benchmarks.machine import prepare_worker
from benchmarks.settings import Run


def serial(runs: Sequence[Run], place: Place, workers: int = 1) -> Iterator[Outcome]:
    """`workers` is there for the common signature."""
    prepare_worker(place.device)
    for run in runs:
        yield execute(run, place)
