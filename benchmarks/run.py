"""The command `python -m benchmarks.run`.

What does the work is imported by the functions that do it: neither `--help` nor `list` waits for torch and pandas.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from benchmarks.cli import Selection, check_least, check_writable, named, parse, status, workspace_of
from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.screen import Screen
from benchmarks.common.started import program


@dataclass(frozen=True)
class Command(Selection):
    """Trains, evaluates and tabulates the runs of a suite.

    The table goes to RESULTS/SUITE.csv, its costs to RESULTS/SUITE-cost.csv, and what made it (machine, versions,
    sources) to RESULTS/SUITE.made.json; every run keeps its record below RESULTS/runs. What is finished is never done
    again: the same command goes on where a former one stopped.

    Other commands: `python -m benchmarks.run list` (suites, priors, data sets, metrics),
    `python -m benchmarks.run validate [SUITE ...]` (checks suites without running them) and
    `python -m benchmarks.run table --suite NAME` (a table as Markdown, LaTeX or CSV for a paper).

    For example:
      python -m benchmarks.run --suite quickstart
      python -m benchmarks.run --suite quickstart --method gaussian vampprior --seeds 0 --set training.epochs=20
      python -m benchmarks.run --suite iop-table2 --dataset freyfaces --data DIR --download
    """

    limit: Annotated[int | None, named("N")] = None
    """Stop after this many unfinished runs."""
    workers: int = 0
    """Processes at once; 0: one a core on a CPU, four on each GPU."""
    executor: Annotated[str, named("NAME")] = "local"
    """local: a process a run, several at once. serial: everything in this process, one run after another. Or one that
    a plug-in registers."""
    inception_weights: Annotated[Path | None, named("FILE")] = None
    """Weights of the Inception network for FID and its kin (default: torch's cache, where they are there)."""
    skip_missing: bool = False
    """Leave out data sets that are not there, instead of refusing to start."""
    minutes_a_run: Annotated[float | None, named("MINUTES")] = None
    """End a run that takes longer, as failed (default: no limit)."""
    stale: Literal["keep", "rerun"] = "keep"
    """What becomes of runs made by other sources of this project or a plug-in, or by another torch or numpy: keep
    takes them as they are and says how many there are; rerun makes them anew."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all runs fine, 1 some failed or diverged, 2 wrong usage, 130 stopped by Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return status(lambda: dispatch(given, Screen()))


def dispatch(arguments: list[str], console: Console) -> int:
    """To the command that the first word names, or to the one that runs a suite."""
    if arguments and not arguments[0].startswith("-"):
        if arguments[0] not in COMMANDS:
            raise unknown("command", arguments[0], COMMANDS)
        return COMMANDS[arguments[0]](arguments[1:], console)
    return run_suite(parse(Command, arguments, "run"), console)


def run_suite(command: Command, console: Console) -> int:
    """Expands, checks all that can be checked beforehand, runs, and keeps the table up to date."""
    from benchmarks.config import suite
    from benchmarks.tables.console import show
    from benchmarks.tables.fill import Order, fill

    check_numbers(command)
    chosen, request = suite.read(command.suite), command.request()
    workspace = replace(workspace_of(command, command.inception_weights), seconds=60 * (command.minutes_a_run or 0))
    runs = suite.expand(chosen, request)
    check_writable(command.results)
    target = command.results / command.output(chosen)
    how = {name: getattr(command, name) for name in ("executor", "workers", "limit", "skip_missing", "stale")}
    filled = fill(Order(chosen, request, runs, workspace, target, **how), console, lambda lines: warn(console, lines))
    show(console, filled.frame[filled.frame["status"] != "not-computed"], chosen.title)
    warn(console, [f"left out: {line}" for line in filled.missing])
    console.print(f"table: {target}.csv", highlight=False)
    return 0 if filled.well else 1


def check_numbers(command: Command) -> None:
    """Raises UsageError for numbers that cannot be."""
    check_least(command, 0, "workers", "limit")
    if command.minutes_a_run is not None and not 0 < command.minutes_a_run < math.inf:
        raise UsageError(f"--minutes-a-run {command.minutes_a_run}: it is larger than 0.")


def warn(console: Console, lines: Sequence[str]) -> None:
    """Lines that do not stop the command."""
    for line in lines:
        console.print(line, style="yellow", highlight=False, markup=False, soft_wrap=True)


def list_everything(arguments: Sequence[str], console: Console) -> int:
    """Suites, methods, priors, regularisers, data sets and metrics, a line each."""
    from benchmarks.config import catalogue

    tyro.cli(_nothing, args=arguments, prog=program("run list"))
    for title, entries in catalogue.everything().items():
        console.print(title, style="bold")
        for name, line in entries.items():
            console.print(f"  {name:24} {line}", highlight=False, markup=False, soft_wrap=True)
    return 0


def validate(arguments: Sequence[str], console: Console) -> int:
    """Reads and expands suites without running anything."""
    chosen = tyro.cli(_names, args=arguments, prog=program("run validate"))
    from benchmarks.config import suite

    for name in chosen or suite.names():
        runs = suite.expand(suite.read(name))
        for preset in suite.read(name).preset:
            suite.expand(suite.read(name), suite.Request(preset=preset))
        console.print(f"{name}: fine, {len(runs)} runs", highlight=False, markup=False)
    return 0


@dataclass(frozen=True)
class TableCommand:
    """Prints a suite's table as a paper would: methods down, data sets and estimates across.

    For example:
      python -m benchmarks.run table --suite quickstart --metric nll skl --format latex
    """

    suite: Annotated[str, named("NAME")]
    """Name of the table's file below RESULTS, without its ending."""
    metric: Annotated[tuple[str, ...], named("NAME ...")] = ()
    """Only these metrics, in this order."""
    format: Literal["csv", "markdown", "latex"] = "markdown"
    """What to print it as."""
    results: Path = Path("results")
    """Folder of the results."""


def print_table(arguments: Sequence[str], console: Console) -> int:
    """The wide view of a table that was written before."""
    command = parse(TableCommand, arguments, "run table")
    from benchmarks.tables import paper, table

    path = command.results / f"{command.suite}.csv"
    frame, _ = table.read(path, "run the suite first, or name another folder with --results")
    for name in command.metric:
        if name not in set(frame["metric"]):
            raise unknown("metric", name, frame["metric"].unique())
    print(paper.FORMATS[command.format](paper.wide(frame, command.metric)), end="")
    return 0


def _nothing() -> None:
    """Lists suites, methods, priors, regularisers, data sets and metrics."""


def _names(suites: tyro.conf.Positional[tuple[str, ...]] = ()) -> tuple[str, ...]:
    """Checks suites (all of the project's by default, or names or TOML files) without running them."""
    return suites


COMMANDS = {"list": list_everything, "table": print_table, "validate": validate}


if __name__ == "__main__":
    sys.exit(main())
