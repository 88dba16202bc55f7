"""The command `python -m benchmarks.check`: has a suite's table moved from its baseline?

A baseline is a suite's own table over many seeds. What other seeds explain is no change: see `drift.tolerance`.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.cli import DATA, STOPPED, Selection, check_least, load_plugins, named, parse, status, workspace_of
from benchmarks.common.errors import UsageError
from benchmarks.common.started import program
from benchmarks.config import suite
from benchmarks.config.suite import Request, Suite
from benchmarks.runner import campaign
from benchmarks.tables import aggregate, table
from benchmarks.tables.console import Screen, unbounded, value
from benchmarks.tables.drift import FINE, LEVEL, Change, Row, compare, own
from benchmarks.tables.notes import text

SEEDS = 32
LEAST_SEEDS = 12
"""Of a baseline, unless it is asked otherwise, and at least."""


@dataclass(frozen=True)
class Command:
    """Compares a suite's figures with its baseline, and tells what moved further than other seeds would have moved it.

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
    """Write the figures as the new baseline, instead of comparing them."""
    baseline: Annotated[Path | None, named("FILE")] = None
    """The baseline (default: RESULTS/baselines/SUITE.csv); any table of a suite is one."""
    level: float = LEVEL
    """Probability that an unchanged suite is called changed."""
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
    refuse(command)
    chosen = suite.read(command.suite)
    path = command.baseline or command.results / "baselines" / f"{chosen.name}.csv"
    if command.update:
        update(figures(command, chosen, console), path, console)
        return 0
    baseline = own(table.read(path, "make the baseline by the same command with --update")[0])
    changes = compare(baseline, figures(command, chosen, console), command.level)
    show(console, changes)
    if all(one.verdict in FINE for one in changes):
        return 0
    console.print("If this is meant: the same command with --update.", highlight=False)
    return 1


def update(found: pd.DataFrame, path: Path, console: Console) -> None:
    """Writes the baseline. Raises UsageError where the seeds are too few to show their spread."""
    seeds = found["n"].max()
    if seeds < LEAST_SEEDS:
        raise UsageError(f"A baseline takes {LEAST_SEEDS} seeds, better {SEEDS}, and these figures are of {seeds}.")
    table.write(found, path)
    console.print(f"baseline: {path}, {counted(found['status'])}", highlight=False, soft_wrap=True)


def refuse(command: Command) -> None:
    """Raises UsageError for values that no check can have."""
    check_least(command, 0, "workers")
    if not 0 < command.level < 1:
        raise UsageError(f"--level {command.level}: it lies between 0 and 1.")
    if command.read and command.seeds:
        raise UsageError("--read takes the table with the seeds that it has: leave out --seeds, or --read.")


# Figures


def figures(command: Command, chosen: Suite, console: Console) -> pd.DataFrame:
    """The suite's rows of its own figures, run now or read."""
    if command.read:
        path = command.results / f"{chosen.name}.csv"
        return own(table.read(path, f"run `{program('run')} --suite {command.suite}`, or leave out --read")[0])
    return own(rerun(command, chosen, console))


def rerun(command: Command, chosen: Suite, console: Console) -> pd.DataFrame:
    """The table of these seeds by the code as it now is."""
    seeds = command.seeds or (tuple(range(SEEDS)) if command.update else ())
    load_plugins(())
    wanted = suite.expand(chosen, Request(seeds=seeds))
    with TemporaryDirectory(prefix="priorbench-check-") as folder:
        workspace = workspace_of(Selection(command.suite, data=command.data, results=Path(folder), device="cpu"))
        wanted, _ = campaign.prepare(wanted, workspace)
        console.print(f"{chosen.title}: {len(wanted)} runs", highlight=False)
        campaign.carry_out(wanted, workspace, console, workers=command.workers)
        return aggregate.build(chosen, wanted, workspace)[0]


# What a person sees


def show(console: Console, changes: Sequence[Change]) -> None:
    """What is not as it was, the furthest first, and how many rows became what."""
    told = sorted((one for one in changes if one.verdict != "same"), key=lambda one: -abs(one.tolerances))
    if told:
        unbounded(console).print(block(told))
    console.print(counted(pd.Series([one.verdict for one in changes])), highlight=False, soft_wrap=True)


def block(changes: Sequence[Change]) -> Table:
    """A line a row. `moved by` is in tolerances."""
    lines = Table(box=None, pad_edge=False, header_style="underline")
    for column in ("metric", "estimator", "dataset", "method", "baseline", "now", "moved by", "verdict"):
        lines.add_column(column, no_wrap=True, justify="right" if column in ("baseline", "now", "moved by") else "left")
    for one in changes:
        labels = (text(one.row[name]) for name in ("metric", "estimator", "dataset", "method"))
        by = f"{one.tolerances:+.3g}" if math.isfinite(one.tolerances) else ""
        why = text(one.row["note"]) if one.row["status"] != "ok" else ""
        verdict = ": ".join(filter(None, (one.verdict, why)))
        lines.add_row(*labels, figure(one.old), figure(one.new), by, verdict)
    return lines


def figure(row: Row | None) -> str:
    """Mean ± standard error over seeds."""
    return " ± ".join(filter(None, value(row))) if row else ""


def counted(words: pd.Series) -> str:
    """`171 rows: 168 same, 3 worse`."""
    counts = Counter(words).most_common()
    return f"{len(words)} rows: " + ", ".join(f"{number} {word}" for word, number in counts)


if __name__ == "__main__":
    sys.exit(main())
