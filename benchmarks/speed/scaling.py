"""Steps a second of several seeds in turn and together: `python -m benchmarks.speed.scaling`.

Both take turns, an epoch a round, in processor time on one thread, and the best round of each counts: a ratio within
one run is little disturbed by a machine's other work. Validation is the same for both, and not part of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from benchmarks.cli import DATA, STOPPED, named, parse, status

if TYPE_CHECKING:
    from benchmarks.config.settings import Run
    from benchmarks.runner.train import Trainer
    from benchmarks.runner.workspace import Workspace


@dataclass(frozen=True)
class Settings:
    """Times training epochs of a suite's methods, several seeds of each in turn and together."""

    suite: str = "table1"
    """Whose networks and settings are taken."""
    dataset: str = "digits"
    """One of its data sets."""
    method: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these methods (default: all of the suite)."""
    seeds: int = 5
    """Seeds of each method."""
    rounds: int = 10
    """Epochs of each seed, in turn and together."""
    data: Path = DATA
    """Folder of the data sets (environment: PRIORBENCH_DATA)."""


class Result(NamedTuple):
    """Steps of a seed in a second, in turn and together, and the seconds of preparing the latter; or why not."""

    method: str
    alone: float = 0.0
    together: float = 0.0
    start: float = 0.0
    why: str = ""


def measure(settings: Settings) -> Iterator[Result]:
    """Of each method in turn."""
    import tempfile  # what follows takes seconds to import: --help need not wait for it

    from benchmarks.config import suite
    from benchmarks.config.suite import Request
    from benchmarks.runner.machine import prepare_worker
    from benchmarks.runner.workspace import Workspace

    prepare_worker()
    chosen = suite.read(settings.suite)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder), settings.data)
        for method in settings.method or chosen.methods:
            request = Request((settings.dataset,), (method,), tuple(range(settings.seeds)))
            yield compare(method, suite.expand(chosen, request), workspace, settings.rounds)


def compare(method: str, runs: Sequence[Run], workspace: Workspace, rounds: int) -> Result:
    """One method's."""
    from benchmarks.runner.ensemble.ensemble import Ensemble
    from benchmarks.runner.ensemble.refusal import Unstackable

    try:
        solo, start = members(runs, workspace), time.process_time()
        ensemble = Ensemble(members(runs, workspace))
        ensemble.epoch()
    except Unstackable as reason:
        return Result(method, why=str(reason))
    start = time.process_time() - start
    for one in solo:
        one.epoch()
    times = [(seconds(lambda: [one.epoch() for one in solo]), seconds(ensemble.epoch)) for _ in range(rounds)]
    steps = len(solo) * len(list(solo[0].batches()))
    alone, together = (steps / min(each) for each in zip(*times, strict=True))
    return Result(method, alone, together, start)


def members(runs: Sequence[Run], workspace: Workspace) -> list[Trainer]:
    """A trainer of every seed."""
    from benchmarks.runner.build import build
    from benchmarks.runner.train import Trainer

    data = workspace.dataset(runs[0])
    return [Trainer(*build(run, data), data, run.training, run.seed, workspace.record(run)) for run in runs]


def seconds(work: Callable[[], object]) -> float:
    """Of the processor."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main(arguments: Sequence[str] | None = None) -> int:
    def work() -> int:
        settings = parse(Settings, arguments, "speed.scaling")
        return show(settings, measure(settings))

    return status(work, STOPPED)


def show(settings: Settings, results: Iterator[Result]) -> int:
    print(f"{settings.seeds} seeds, {settings.suite} on {settings.dataset}, one thread: steps of a seed in a second")
    print(f"{'method':26} {'in turn':>8} {'together':>9} {'ratio':>6} {'start':>8}")
    for one in results:
        figures = f"{one.alone:8.0f} {one.together:9.0f} {one.together / (one.alone or 1):6.2f} {one.start:6.1f} s"
        print(f"{one.method:26} {one.why or figures}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
