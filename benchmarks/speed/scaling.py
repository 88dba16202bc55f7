"""Steps a second of several seeds: in turn, in several workers, and together; as written and compiled.

All of a method's ways take turns, an epoch a round, on one thread, in processor time; the best round of each counts,
since what disturbs a round only makes it slower. Workers are timed by the clock, as waiting for each other is what may
slow them. Validation is the same for all, and not part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from benchmarks.cli import DATA, STOPPED, named, parse, status
from benchmarks.common.errors import UsageError

if TYPE_CHECKING:
    from benchmarks.config.settings import Run
    from benchmarks.runner.train import Trainer
    from benchmarks.runner.turns import When
    from benchmarks.runner.workspace import Workspace

WAYS = ("in turn", "in turn, compiled", "together", "together, compiled")

Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """Times training epochs of a suite's methods, several seeds of each in turn, in workers, and together.

    For example:
      python -m benchmarks.speed scaling
      python -m benchmarks.speed scaling --method vampprior --sweep prior.vampprior.components=50,200,800
      python -m benchmarks.speed scaling --method gaussian --sweep training.batch_size=25,100,400 --seeds 2 4 8
    """

    suite: str = "table1"
    """Whose networks and settings are taken."""
    dataset: str = "digits"
    """One of its data sets."""
    method: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these methods (default: all of the suite)."""
    seeds: tuple[int, ...] = (5,)
    """How many seeds of each method."""
    sweep: Annotated[str, named("KEY=A,B,C")] = ""
    """A setting and its values, a row each."""
    compile: Literal["on", "off"] = "on"
    """Time compiled turns too."""
    workers: int = 2
    """Processes at once, each with a seed; 1: none are timed."""
    rounds: int = 10
    """Epochs of each seed and way."""
    data: Path = DATA
    """Folder of the data sets (environment: PRIORBENCH_DATA)."""
    results: Path = Path("results")
    """Folder for speed-scaling.json and its figure."""


def measure(settings: Settings) -> Iterator[tuple[str, Row]]:
    """A row for each method, value of the sweep and number of seeds."""
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
            for override in overrides(settings.sweep):
                for seeds in settings.seeds:
                    request = Request((settings.dataset,), (method,), tuple(range(seeds)), None, override)
                    name = " ".join((method, *override, *([f"S = {seeds}"] if len(settings.seeds) > 1 else [])))
                    yield name, compare(suite.expand(chosen, request), workspace, settings)


def overrides(sweep: str) -> list[tuple[str, ...]]:
    """One setting for each of its values; none without a sweep."""
    key, equals, values = sweep.partition("=")
    if sweep and not (key and equals and values):
        raise UsageError(f"--sweep {sweep}: a setting and its values are wanted, as in training.batch_size=50,100.")
    return [(f"{key}={value}",) for value in values.split(",")] if sweep else [()]


def compare(runs: Sequence[Run], workspace: Workspace, settings: Settings) -> Row:
    """Steps of a seed in a second by way, or why they cannot be trained together."""
    from benchmarks.runner.ensemble.ensemble import Ensemble
    from benchmarks.runner.ensemble.refusal import Unstackable

    row: Row = {}
    ways: dict[str, Callable[[], object]] = {}
    captures: tuple[When, ...] = ("off", "on") if settings.compile == "on" else ("off",)
    for capture in captures:
        suffix = ", compiled" if capture == "on" else ""
        solo = members(runs, workspace, capture)
        ways[f"in turn{suffix}"] = lambda solo=solo: [one.epoch() for one in solo]  # type: ignore[misc]
        try:
            ways[f"together{suffix}"] = Ensemble(members(runs, workspace, capture)).epoch
        except Unstackable as reason:
            row["why"] = str(reason)
    steps = len(runs) * len(list(solo[0].batches()))
    started = {name: seconds(way) for name, way in ways.items()}
    best = {name: min(seconds(way) for _ in range(settings.rounds)) for name, way in ways.items()}
    row |= {name: steps / one for name, one in best.items()}
    row["start"] = max(started.values())
    if settings.workers > 1:
        row["workers"] = in_workers(runs[0], workspace, settings)
    return row


def members(runs: Sequence[Run], workspace: Workspace, capture: When) -> list[Trainer]:
    """A trainer of every seed."""
    from benchmarks.runner.build import build
    from benchmarks.runner.train import Trainer

    data = workspace.dataset(runs[0])
    return [Trainer(*build(run, data), data, run.training, run.seed, workspace.record(run), capture) for run in runs]


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Of the processor, or by another clock."""
    start = clock()
    work()
    return clock() - start


def in_workers(run: Run, workspace: Workspace, settings: Settings) -> float:
    """How many times as many steps so many processes make at once as one alone, by the clock."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(settings.workers, get_context("spawn")) as pool:

        def best(count: int) -> float:
            jobs = [pool.submit(epochs, run, workspace, settings.rounds) for _ in range(count)]
            return sum(job.result() for job in jobs) / count

        best(settings.workers)
        alone, together = best(1), best(settings.workers)
    return settings.workers * alone / together


def epochs(run: Run, workspace: Workspace, rounds: int) -> float:
    """Seconds by the clock of so many epochs, as written."""
    from benchmarks.runner.machine import prepare_worker

    prepare_worker()
    (one,) = members([run], workspace, "off")
    one.epoch()
    return seconds(lambda: [one.epoch() for _ in range(rounds)], time.perf_counter)


def main(arguments: Sequence[str] | None = None) -> int:
    return status(lambda: show(parse(Settings, arguments, "speed scaling")), STOPPED)


def show(settings: Settings) -> int:
    print(f"{settings.suite} on {settings.dataset}, one thread a worker: steps of a seed in a second")
    print(f"{'':30} {'in turn':>8} {'compiled':>9} {'together':>9} {'compiled':>9} {'gain':>6} {'workers':>8}")
    found: dict[str, Row] = {}
    for name, row in measure(settings):
        found[name] = row
        told(name, row)
    print("gain: the best over in turn, as written. workers: steps of all of them at once over those of one alone.")
    from benchmarks.speed.kept import keep

    keep("scaling", settings, found, settings.results, WAYS, "steps of a seed in a second")
    return 0


def told(name: str, row: Mapping[str, Any]) -> None:
    """A line, and why there is none of seeds together."""
    numbers = [row.get(way) for way in WAYS]
    row_gain = max(filter(None, numbers)) / row["in turn"]
    cells = "".join(f" {'-' if one is None else format(one, '.0f'):>9}" for one in numbers)
    print(f"{name:29}{cells} {row_gain:6.2f} {row.get('workers', 0):8.2f}  {row.get('why', '')}", flush=True)
