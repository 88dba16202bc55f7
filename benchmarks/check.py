"""The command `python -m benchmarks.check`: has a suite's table moved from its baseline?

A baseline is a suite's own table over many seeds. What other seeds explain is no change: see `drift.tolerance`.
What does the work is imported by the functions that do it, so that `--help` waits for neither torch nor pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console

from benchmarks.cli import (
    DATA,
    STOPPED,
    Selection,
    Several,
    check_least,
    load_plugins,
    named,
    parse,
    status,
    workspace_of,
)
from benchmarks.common.errors import UsageError
from benchmarks.common.screen import Screen
from benchmarks.common.started import program
from benchmarks.tables import LEVEL

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.config.suite import Suite

SEEDS = 32
LEAST_SEEDS = 12
"""Of a baseline, unless it is asked otherwise, and at least."""


@dataclass(frozen=True)
class Command:
    """Compares a suite's estimates with its baseline, and tells which moved further than other seeds would move them.

    The suite is run anew, in a folder that is thrown away, so that nothing finished earlier is taken for what the code
    now does, on the CPU, as baselines are. A suite of hours is better run by `python -m benchmarks.run` and checked
    with --read.

    For example:
      python -m benchmarks.check --suite smoke
      python -m benchmarks.check --suite quickstart --read
      python -m benchmarks.check --suite smoke --update
    """

    suite: Annotated[str, named("NAME")]
    """Name of a suite, or path of a TOML file."""
    seeds: Annotated[tuple[int, ...], named("SEED ...")] = ()
    """Seeds to run (default: the suite's own; with --update 0 to 31)."""
    read: bool = False
    """Take the table RESULTS/SUITE.csv as it is, instead of running."""
    update: bool = False
    """Write the estimates as the new baseline, instead of comparing them."""
    baseline: Annotated[Path | None, named("FILE")] = None
    """The baseline (default: RESULTS/baselines/SUITE.csv); any table of a suite is one."""
    level: float = LEVEL
    """Probability that an unchanged suite is called changed."""
    plugin: Annotated[tuple[Path, ...], Several, named("FILE")] = ()
    """A Python file that registers what the suite names. May be repeated."""
    data: Path = DATA
    """Folder of the data sets (environment: PRIORBENCH_DATA)."""
    results: Path = Path("results")
    """Folder of the tables and baselines."""
    workers: int = 0
    """Processes at once; 0: one a core."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 nothing moved, 1 something did, for better or worse, 2 wrong usage, 130 stopped by Ctrl-C."""
    return status(lambda: check(parse(Command, arguments, "check"), Screen()), STOPPED)


def check(command: Command, console: Console) -> int:
    """Compares or updates; the exit status."""
    from benchmarks.config import suite
    from benchmarks.tables import baseline, changes, drift

    refuse(command)
    load_plugins(command.plugin)
    chosen = suite.read(command.suite)
    path = command.baseline or command.results / "baselines" / f"{chosen.name}.csv"
    if command.update:
        baseline.update(estimates(command, chosen, console), path, LEAST_SEEDS, SEEDS, console)
        return 0
    before = baseline.read(path, "make the baseline by the same command with --update")
    moved = drift.compare(before, estimates(command, chosen, console), command.level)
    changes.show(console, moved)
    if all(one.verdict in drift.FINE for one in moved):
        return 0
    console.print("If this is meant: the same command with --update.", highlight=False)
    return 1


def refuse(command: Command) -> None:
    """Raises UsageError for values that no check can have."""
    check_least(command, 0, "workers")
    if not 0 < command.level < 1:
        raise UsageError(f"--level {command.level}: it lies between 0 and 1.")
    if command.read and command.seeds:
        raise UsageError("--read takes the table with the seeds that it has: leave out --seeds, or --read.")


def estimates(command: Command, chosen: Suite, console: Console) -> pd.DataFrame:
    """The suite's rows of its own estimates, run now or read."""
    from benchmarks.tables import baseline

    if command.read:
        remedy = f"run `{program('run')} --suite {command.suite}`, or leave out --read"
        return baseline.read(command.results / f"{chosen.name}.csv", remedy)
    seeds = command.seeds or (tuple(range(SEEDS)) if command.update else ())
    with TemporaryDirectory(prefix="priorbench-check-") as folder:
        where: dict[str, Any] = {"data": command.data, "results": Path(folder), "device": "cpu"}
        selection = Selection(command.suite, seeds=seeds, plugin=command.plugin, **where)
        request, workspace = selection.request(), workspace_of(selection)
        return baseline.rerun(chosen, request, workspace, command.workers, console)


if __name__ == "__main__":
    sys.exit(main())
