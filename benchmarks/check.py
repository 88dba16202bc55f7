"""The command `python -m benchmarks.check`: has a suite's table moved from its baseline?

A baseline is a suite's own table over many seeds. What another choice of seeds explains is no change: see `tolerance`.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks import run, suite, table
from benchmarks.command import DATA, STOPPED, Selection, load_plugins, named, parse, status, workspace_of
from benchmarks.console import Screen, text, unbounded, value
from benchmarks.errors import UsageError
from benchmarks.executors import EXECUTORS
from benchmarks.machine import default_workers
from benchmarks.progress import Display
from benchmarks.suite import Request, Suite

Row = dict[str, Any]

KEY = ("dataset", "method", "metric", "estimator")
"""What a row is of: baseline and table are joined by it."""

COLUMNS = table.OWN
"""Of a baseline: a table's columns but for what it says of papers and of rankings."""

LEVEL = 0.01
"""Probability that a check of an unchanged suite finds a change."""

SEEDS = 32
LEAST_SEEDS = 12
"""Of a baseline, unless it is asked otherwise, and at least."""

TAILS = 7
"""Degrees of freedom that a figure's tails over seeds are taken to have at most: they are heavier than a normal law's
(a KL near collapse is almost lognormal), however many seeds there are."""

ROUNDING = 1e-5
"""Relative change of a figure in float32 between machines and versions of torch."""

STEPS = {"dimensions": 1.0, "share": 0.01}
"""What counted figures move by, by unit: one dimension, one image in a hundred."""

TROUBLE = ("failed", "diverged")
FINE = ("same", "new", "gone", "untested")
"""Verdicts that leave the exit status 0. `better` does not: a wrong sign in a density makes a likelihood too good."""


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
    if command.workers < 0:
        raise UsageError(f"--workers {command.workers}: it is 0 or larger.")
    if not 0 < command.level < 1:
        raise UsageError(f"--level {command.level}: it lies between 0 and 1.")
    if command.read and command.seeds:
        raise UsageError("--read takes the table with the seeds that it has: leave out --seeds, or --read.")


# Figures


def figures(command: Command, chosen: Suite, console: Console) -> pd.DataFrame:
    """The suite's rows of its own figures, run now or read."""
    if command.read:
        path = command.results / f"{chosen.name}.csv"
        return own(table.read(path, f"run `python -m benchmarks.run --suite {command.suite}`, or leave out --read")[0])
    return own(rerun(command, chosen, console))


def rerun(command: Command, chosen: Suite, console: Console) -> pd.DataFrame:
    """The table of these seeds by the code as it now is."""
    seeds = command.seeds or (tuple(range(SEEDS)) if command.update else ())
    load_plugins(())
    wanted = suite.expand(chosen, Request(seeds=seeds))
    with TemporaryDirectory(prefix="priorbench-check-") as folder:
        workspace = workspace_of(Selection(command.suite, data=command.data, results=Path(folder), device="cpu"))
        run.check_weights(wanted, workspace)
        run.check_data(wanted, workspace, skip=False)
        console.print(f"{chosen.title}: {len(wanted)} runs", highlight=False)
        workers = command.workers or default_workers(workspace.device)
        view = Display(console, wanted, workspace, workers)
        with view.watch():
            for outcome in EXECUTORS["local"](wanted, workspace, workers):
                view.ended(outcome)
        return table.build(chosen, wanted, workspace)[0]


def own(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without the papers' figures."""
    return frame.loc[frame["status"] != "published", [*COLUMNS]]


# The test


class Change(NamedTuple):
    """A row of the baseline and of the new table, where they are there, and what became of it.

    tolerances: new - old mean in units of the tolerance; inf where no two figures are compared.
    """

    old: Row | None
    new: Row | None
    verdict: str
    tolerances: float = math.inf

    @property
    def row(self) -> Row:
        return self.new or self.old or {}


def compare(baseline: pd.DataFrame, found: pd.DataFrame, level: float = LEVEL) -> list[Change]:
    """What became of every row of the baseline, and which rows are new."""
    old, new = rows(baseline), rows(found)
    pairs = [(old.get(key), new.get(key)) for key in old | new]
    family = sum(not kind(*pair) for pair in pairs)
    return [Change(*pair, said) if (said := kind(*pair)) else judge(*pair, level / family) for pair in pairs]


def rows(frame: pd.DataFrame) -> dict[tuple[str, ...], Row]:
    """Rows by their key; `complete`: no seed of the table is missing in this one."""
    complete = frame.assign(complete=frame["n"] == frame["n"].max())
    return {tuple(text(row[name]) for name in KEY): row for row in complete.to_dict("records")}


def kind(old: Row | None, new: Row | None) -> str:
    """The verdict where there are no two figures to compare; empty where there are.

    A seed that is missing in a row that had all is a run that failed or diverged.
    """
    if new is None:
        return "vanished" if old["status"] == "ok" else "gone"
    if old is None:
        return new["status"] if new["status"] in TROUBLE else "new"
    if old["status"] != new["status"]:
        return f"{old['status']}, now {new['status']}"
    if new["status"] != "ok":
        return "same"
    if text(old["protocol"]) != text(new["protocol"]):
        return "another protocol"
    return "seeds missing" if old["complete"] and not new["complete"] else ""


def judge(old: Row, new: Row, level: float) -> Change:
    """A figure against its baseline, at this row's share of the level."""
    difference, allowed = new["mean"] - old["mean"], tolerance(old, new, level)
    if math.isnan(allowed):
        return Change(old, new, "untested")
    tolerances = difference / allowed if difference else 0.0
    if abs(tolerances) <= 1:
        return Change(old, new, "same", tolerances)
    towards = {"lower": -1, "higher": 1}.get(new["direction"], 0) * difference
    return Change(old, new, "better" if towards > 0 else "worse" if towards < 0 else "moved", tolerances)


def tolerance(old: Row, new: Row, level: float) -> float:
    """How far from its baseline the mean of n seeds may lie, in the figure's unit; nan where the baseline has one seed.

        t s sqrt(1/n + 1/N) + floor

    s is the standard deviation over the baseline's N seeds, t the two-sided quantile of Student's law at `level` with
    min(N - 1, TAILS) degrees of freedom. With N - 1 this is the prediction interval for the mean of n more draws of one
    normal law, exact whatever its variance (Hahn and Meeker 1991). A suite's level is split evenly over its rows
    (Bonferroni), as they depend on each other in every way: some row of an unchanged suite is outside with probability
    <= level.

    The new seeds' own spread is left out: two or three show little of it, and where one of two explodes it widens a
    pooled spread as fast as it moves the mean. Such a t never passes N / sqrt(N + 2), 5.5 at N = 32, however far the
    seed has gone, and more is asked of it.

    Figures are not normal over seeds. Of 120 seeds of the suite `smoke` (171 figures, 20,000 draws without
    replacement), N - 1 degrees of freedom call an unchanged run of two changed in 8 % of tries at N = 32 where 1 % is
    meant: the more seeds, the smaller t, and the tails stay. With at most TAILS it is 0.2 %, and 0.4 %, 0.7 % and 1.2 %
    at N = 20, 16 and 12. Two seeds against 32 are then called changed where they move by 6 s, five by 4 s. Simulated
    suites of 170 independent figures keep the level where all are normal, or have the tails of 7 degrees of freedom;
    were all tails those of 4, 1 % would be 4 % at N = 32 and 8 % at N = 12.

    floor: what is not the seeds'. ROUNDING times the figure, which is all that an exact figure may move by; and for a
    counted one that is the same for all seeds of the baseline, one step (STEPS) in one seed. Seeds that the baseline
    has too lie closer to it still.
    """
    n, many = new["n"], old["n"]
    t = stats.t.isf(level / 2, min(many - 1, TAILS))
    rounding = ROUNDING * max(abs(old["mean"]), abs(new["mean"]))
    step = STEPS.get(new["unit"], 0.0) / n if old["std"] <= rounding else 0.0
    return t * old["std"] * math.sqrt(1 / n + 1 / many) + rounding + step


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
