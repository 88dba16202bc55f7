"""A suite's table as its runs now stand: whose rows it has, and how it is written while they go on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from benchmarks.common.errors import UsageError
from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.runner.record import Damaged, Record
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import aggregate, table
from benchmarks.tables.ledger import Ledger

APART = 5.0
"""Seconds between two tables that are written while runs end."""


def whole_table(
    chosen: Suite, request: Request, wanted: list[Run], workspace: Workspace, ledger: Ledger
) -> tuple[list[Run], list[Record]]:
    """(the suite's own runs, done or not, then the others of this and earlier commands; records that cannot be read):
    no part of a suite takes another's rows out of the table, whether their runs are on this disk or in its ledger."""
    own = suite.expand(chosen, replace(request, datasets=(), methods=(), seeds=()))
    known = {run.name: run for run in (*own, *wanted)}
    others, lost = earlier(chosen, request, workspace, ledger, known.keys())
    return list((known | {run.name: run for run in others}).values()), lost


def earlier(
    chosen: Suite, request: Request, workspace: Workspace, ledger: Ledger, known: Set[str]
) -> tuple[list[Run], list[Record]]:
    """(runs on the disk and in the ledger that are not known, asked for by an earlier command, if they still are what
    it would run today; records that cannot be read). Those of a plug-in's prior are there whenever the plug-in is."""
    cells, lost = asked_for(chosen, workspace)
    cells = {name: (one.source, one.method, one.seed) for name, one in ledger.items()} | cells
    found = [run for name in sorted({*cells} - known) for run in as_of_today(name, *cells[name], chosen, request)]
    return found, lost


def asked_for(chosen: Suite, workspace: Workspace) -> tuple[dict[str, tuple[str, str, int]], list[Record]]:
    """(data set, method and seed of the suite's runs on the disk, by their names; records that cannot be read)."""
    found, lost = {}, []
    for path in sorted((workspace.results / "runs" / chosen.name).glob("*/config.json")):
        record = Record(path.parent)
        try:
            cell = record.read("config.json")
            found[path.parent.name] = (cell.get("source") or cell["dataset"], cell["method"], cell["seed"])
        except Damaged:
            lost.append(record)
        except KeyError:  # of another version
            continue
    return found, lost


def as_of_today(name: str, dataset: str, method: str, seed: int, chosen: Suite, request: Request) -> list[Run]:
    """The run of this name; none where the suite would make another one of it today, or knows it no longer."""
    only = replace(request, datasets=(dataset,), methods=(method,), seeds=(seed,))
    try:
        return [run for run in suite.expand(chosen, only) if run.name == name]
    except ValueError:
        return []


def write_tables(
    chosen: Suite, runs: list[Run], workspace: Workspace, target: Path, known: Ledger = MappingProxyType({})
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table and its costs as the runs now stand. known: its ledger, for those that are not on this disk."""
    frame, costs = aggregate.build(chosen, runs, workspace, known)
    table.write(frame, target.with_name(target.name + ".csv"))
    table.write(costs, target.with_name(target.name + "-cost.csv"))
    return frame, costs


class Paced:
    """Writes again and again, but takes a tenth of the time at most, and not oftener than every APART seconds."""

    def __init__(self, write: Callable[[], tuple[pd.DataFrame, pd.DataFrame]]):
        self.write, self.next = write, 0.0

    def soon(self) -> None:
        if time.monotonic() >= self.next:
            self.now()

    def now(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        start = time.monotonic()
        written = self.write()
        self.next = time.monotonic() + max(APART, 9 * (time.monotonic() - start))
        return written

    @contextmanager
    def at_the_latest(self) -> Iterator[None]:
        """Where what is within breaks off, by Ctrl-C or an output that nobody reads on, what is done is written."""
        try:
            yield
        except BaseException:
            self.now()
            raise


def set_aside(target: Path, known: Ledger, workspace: Workspace, chosen: Suite) -> list[str]:
    """Puts a table out of the way that has rows and no ledger, and whose runs are not on this disk: it could not be
    made again. What is to be told of it."""
    path = target.with_name(f"{target.name}.csv")
    if known or not path.is_file() or any((workspace.results / "runs" / chosen.name).glob("*/done")):
        return []
    with suppress(UsageError):
        if not table.read(path, "")[0]["status"].eq("ok").any():
            return []
    aside = target.with_name(f"{target.name}.earlier.csv")
    os.replace(path, aside)
    return [f"kept: {path} has rows whose runs are not here: it is {aside.name} from now on"]
