"""Seconds and memory of making a suite's tables anew from the records of many finished runs.

    python -m benchmarks.speed tables [--runs 10000]

One run is carried out, and its record copied for all others: ten methods on a data set, with a tenth of the seeds each.
Seconds are the processor's.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from benchmarks.cli import STOPPED, check_folder, check_least, named, parse, status

if TYPE_CHECKING:
    from benchmarks.config.settings import Run
    from benchmarks.runner.record import Record
    from benchmarks.runner.workspace import Workspace

METHODS = 10

SUITE = """
title = "Many runs"
datasets = ["onehot"]
methods = [{methods}]
seeds = {seeds}
metrics = ["nll", "latent_w1", "active_units", "squared_error"]

[model]
widths = [8]
latent_dim = 2

[training]
epochs = 0

[protocol]
samples = [10]
images = 100

{tables}
"""


@dataclass(frozen=True)
class Settings:
    """Times how a suite's tables are made anew from the records of many finished runs."""

    runs: Annotated[int, named("N")] = 10_000
    """Finished runs."""
    results: Path = Path("results")
    """Folder for speed-tables.json and its figure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, 2 wrong usage, 130 stopped by Ctrl-C."""
    return status(lambda: measure(parse(Settings, arguments, "speed tables")), STOPPED)


def measure(settings: Settings) -> int:
    from benchmarks.speed.kept import keep

    check_least(settings, METHODS, "runs")
    check_folder("--results", settings.results)
    with TemporaryDirectory(prefix="priorbench-") as folder:
        rows = steps(settings, Path(folder))
    for name, row in rows.items():
        print(f"{name:30} {row['seconds']:7.2f} s   {row['MiB']:6.0f} MiB at most so far")
    keep("tables", settings, rows, settings.results, ("seconds",), f"seconds, {settings.runs} runs")
    return 0


def steps(settings: Settings, folder: Path) -> dict[str, Mapping[str, float]]:
    """What a command does with finished runs, step by step, as `tables.fill` does."""
    from benchmarks.config import suite
    from benchmarks.config.suite import Request
    from benchmarks.runner import survey
    from benchmarks.runner.workspace import Workspace
    from benchmarks.tables import ledger, upkeep

    path, target, rows = folder / "many.toml", folder / "many", dict[str, Mapping[str, float]]()
    path.write_text(suite_of(settings.runs), encoding="utf-8")
    chosen, workspace = suite.read(str(path)), Workspace(folder, folder)
    runs = suite.expand(chosen)
    copy_all(runs, workspace)
    known: ledger.Ledger = {}
    timed(rows, "expanding the suite", lambda: suite.expand(chosen))
    timed(rows, "records looked through", lambda: [survey.mend(runs, workspace), survey.age(runs, workspace, "keep")])
    timed(rows, "which are finished", lambda: [survey.finished(run, workspace) for run in runs])
    timed(rows, "runs of earlier commands", lambda: upkeep.whole_table(chosen, Request(), runs, workspace, known))
    timed(rows, "the table and its costs", lambda: upkeep.write_tables(chosen, runs, workspace, target))
    timed(rows, "the ledger", lambda: ledger.write(ledger.entries(runs, workspace, known), target))
    timed(rows, "the ledger, read again", lambda: ledger.read(target))
    return rows


def suite_of(runs: int) -> str:
    names = [f"method-{number}" for number in range(METHODS)]
    tables = "\n".join(f'[method.{name}]\nuse = "gaussian"' for name in names)
    return SUITE.format(methods=", ".join(f'"{name}"' for name in names), seeds=runs // METHODS, tables=tables)


def timed(rows: dict[str, Mapping[str, float]], name: str, work: Callable[[], object]) -> None:
    """Notes the step's seconds, and the most memory that the process had up to its end."""
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    rows[name] = {"seconds": seconds, "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def copy_all(runs: Sequence[Run], workspace: Workspace) -> None:
    """Carries the first run out, and gives all others its record as if it were theirs."""
    from benchmarks.runner.execute import execute

    outcome = execute(runs[0], workspace)
    assert outcome.status == "ok", outcome
    first = workspace.record(runs[0])
    for run in runs[1:]:
        copied(run, first, workspace.record(run))


def copied(run: Run, first: Record, record: Record) -> None:
    """JSON is sealed with its run's name; other files are the same ones."""
    for path in first.folder.rglob("*"):
        name = str(path.relative_to(first.folder))
        if path.is_dir():
            (record.folder / name).mkdir(parents=True, exist_ok=True)
        elif name in ("env.json", "made.json", "metrics.json", "training.json"):
            write(record, name, first.read(name))
        elif name.split(".")[0] not in ("config", "done", "status", "", "log"):
            record.folder.mkdir(parents=True, exist_ok=True)
            (record.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (record.folder / name).hardlink_to(path)
    write(record, "config.json", run.model_dump(mode="json"))
    files = record.vouch("config.json", "env.json", "*.png")
    write(record, "done", {**first.read("done"), "files": files})


def write(record: Record, name: str, content: Mapping[str, object]) -> None:
    """As `Record.write`, without waiting for the disk."""
    record.folder.mkdir(parents=True, exist_ok=True)
    (record.folder / name).write_text(record.text(name, content), encoding="utf-8")
