"""A suite's runs carried out, and its table kept up to date while they end: what a command and a program share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Console

from benchmarks.common.errors import UsageError, find
from benchmarks.common.files import one_at_a_time
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.runner import campaign, survey
from benchmarks.runner.executors import EXECUTORS, Resources
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import ledger
from benchmarks.tables.collect import trouble
from benchmarks.tables.ledger import Ledger
from benchmarks.tables.upkeep import Paced, set_aside, whole_table, write_tables


@dataclass(frozen=True)
class Order:
    """What is to be done: the runs of a suite that were asked for, where, and how.

    target: the table's file, without its ending. limit: most runs to carry out, None for all of them. skip_missing: go
    on without data sets that are not there. stale: "keep" or "rerun" what older sources made.
    """

    chosen: Suite
    request: Request
    runs: Sequence[Run]
    workspace: Workspace
    target: Path
    executor: str = "local"
    resources: Resources = field(default_factory=Resources)
    limit: int | None = None
    skip_missing: bool = False
    stale: str = "keep"


@dataclass(frozen=True)
class Filled:
    """The suite's whole table with its costs, what is wrong with the data that were left out, and whether all runs
    asked for are well."""

    frame: pd.DataFrame
    costs: pd.DataFrame
    missing: Sequence[str]
    well: bool


def fill(order: Order, console: Console, warn: Callable[[Sequence[str]], None]) -> Filled:
    """Checks all that can be checked beforehand, carries out what is not finished, and writes the suite's tables.

    warn: is handed lines that stop nothing, on records that are damaged or of older sources.
    """
    find(EXECUTORS, order.executor)
    chosen, workspace, target = order.chosen, order.workspace, order.target
    resources = order.resources.over({"slurm": chosen.slurm})
    wanted, missing = campaign.prepare(order.runs, workspace, order.skip_missing)
    lock = workspace.results / "runs" / f".{target.name}.lock"
    with one_at_a_time(lock):
        before = ledger.read(target)
    everything, lost = whole_table(chosen, order.request, wanted, workspace, before)
    warn(set_aside(target, before, workspace, chosen))
    warn([*survey.mend(wanted, workspace), *survey.age(wanted, workspace, order.stale)])
    warn(survey.unreadable(lost))
    left = [run for run in wanted if not survey.finished(run, workspace)]
    console.print(f"{chosen.title}: {len(wanted)} runs, {len(wanted) - len(left)} already done", highlight=False)

    def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
        with one_at_a_time(lock):
            return write_tables(chosen, everything, workspace, target, before)

    write = Paced(tables)
    with write.at_the_latest():
        outcomes = campaign.carry_out(
            left[: order.limit], workspace, console, order.executor, resources, lambda _: write.soon()
        )
    with one_at_a_time(lock):
        frame, costs = write_all(order, wanted, before)
    failed = any(one.status == "failed" for one in outcomes)
    return Filled(frame, costs, missing, not failed and not trouble(wanted, workspace))


def write_all(order: Order, wanted: list[Run], before: Ledger) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables and their ledger, with the rows that other commands have added in the meantime."""
    chosen, workspace, target = order.chosen, order.workspace, order.target
    with suppress(UsageError):
        before = ledger.read(target) or before
    everything, _ = whole_table(chosen, order.request, wanted, workspace, before)
    written = write_tables(chosen, everything, workspace, target, before)
    ledger.write(ledger.entries(everything, workspace, before), target)
    return written
