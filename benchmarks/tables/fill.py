"""A suite's runs carried out, and its table kept up to date while they end: what a command and a program share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Console

from benchmarks.common.errors import find
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.runner import campaign, survey
from benchmarks.runner.executors import EXECUTORS, Resources
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import ledger
from benchmarks.tables.collect import trouble
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
    before = ledger.read(target)
    everything, lost = whole_table(chosen, order.request, wanted, workspace, before)
    warn(set_aside(target, before, workspace, chosen))
    warn([*survey.mend(wanted, workspace), *survey.age(wanted, workspace, order.stale)])
    warn(survey.unreadable(lost))
    left = [run for run in wanted if not survey.finished(run, workspace)]
    console.print(f"{chosen.title}: {len(wanted)} runs, {len(wanted) - len(left)} already done", highlight=False)
    write = Paced(lambda: write_tables(chosen, everything, workspace, target, before))
    with write.at_the_latest():
        outcomes = campaign.carry_out(
            left[: order.limit], workspace, console, order.executor, resources, lambda _: write.soon()
        )
    frame, costs = write.now()
    ledger.write(ledger.entries(everything, workspace, before), target)
    failed = any(one.status == "failed" for one in outcomes)
    return Filled(frame, costs, missing, not failed and not trouble(wanted, workspace))
