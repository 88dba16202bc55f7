"""A suite's table as its runs now stand: whose rows it has, and how it is written while they go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmarks.config import suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.runner.record import Damaged, Record
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import aggregate, table


def whole_table(
    chosen: Suite, request: Request, wanted: list[Run], workspace: Workspace
) -> tuple[list[Run], list[Record]]:
    """(the suite's own runs, done or not, then the others of this and earlier commands; records that cannot be read):
    no part of a suite takes another's rows out of the table."""
    own = suite.expand(chosen, replace(request, datasets=(), methods=(), seeds=()))
    known = {run.name: run for run in (*own, *wanted)}
    others, lost = earlier(chosen, request, workspace, known.keys())
    return list((known | {run.name: run for run in others}).values()), lost


def earlier(chosen: Suite, request: Request, workspace: Workspace, known: Set[str]) -> tuple[list[Run], list[Record]]:
    """(runs on the disk that are not known, asked for by an earlier command, if they still are what it would run today;
    records that cannot be read). Those of a plug-in's prior are there whenever the plug-in is."""
    found, lost = [], []
    for path in sorted((workspace.results / "runs" / chosen.name).glob("*/config.json")):
        record = Record(path.parent)
        if path.parent.name in known:
            continue
        try:
            cell = record.read("config.json")
            only = replace(
                request,
                datasets=(cell.get("source") or cell["dataset"],),
                methods=(cell["method"],),
                seeds=(cell["seed"],),
            )
            found += [run for run in suite.expand(chosen, only) if run.name == path.parent.name]
        except Damaged:
            lost.append(record)
        except (ValueError, KeyError):  # of another version, or no longer defined
            continue
    return found, lost


def write_tables(chosen: Suite, runs: list[Run], workspace: Workspace, target: Path) -> pd.DataFrame:
    """The table as the runs now stand."""
    frame, costs = aggregate.build(chosen, runs, workspace)
    table.write(frame, target.with_name(target.name + ".csv"))
    table.write(costs, target.with_name(target.name + "-cost.csv"))
    return frame


class Paced:
    """Writes again and again, but takes a tenth of the time at most."""

    def __init__(self, write: Callable[[], pd.DataFrame]):
        self.write, self.next = write, 0.0

    def soon(self) -> None:
        if time.monotonic() >= self.next:
            self.now()

    def now(self) -> pd.DataFrame:
        start = time.monotonic()
        frame = self.write()
        self.next = time.monotonic() + 9 * (time.monotonic() - start)
        return frame

    @contextmanager
    def at_the_latest(self) -> Iterator[None]:
        """Where what is within breaks off, by Ctrl-C or an output that nobody reads on, what is done is written."""
        try:
            yield
        except BaseException:
            self.now()
            raise
