"""Runs that other processes carry out, on this machine or another: what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from benchmarks.config.settings import Run
from benchmarks.runner.execute import Outcome, ended
from benchmarks.runner.record import Damaged
from benchmarks.runner.survey import finished
from benchmarks.runner.workspace import Workspace


class Met(NamedTuple):
    """A run that another process held when it was come to. failure: what its record said of an earlier failure."""

    run: Run
    failure: object


class Look(NamedTuple):
    """What became of those that were met: the ends of some, those that nobody holds, and those that are still held."""

    ended: list[Outcome]
    free: list[Run]
    held: list[Met]


def met(run: Run, workspace: Workspace) -> Met:
    return Met(run, workspace.record(run).failed_at())


def look(waiting: Iterable[Met], workspace: Workspace) -> Look:
    """What became of them up to now."""
    found = Look([], [], [])
    for one in waiting:
        record = workspace.record(one.run)
        if record.holder():
            found.held.append(one)
        elif outcome := end(one, workspace):
            found.ended.append(outcome)
        else:
            found.free.append(one.run)
    return found


def end(one: Met, workspace: Workspace) -> Outcome | None:
    """How the other process ended the run, as its record has it; None where it left it unfinished."""
    record = workspace.record(one.run)
    try:
        if finished(one.run, workspace):
            return ended(one.run, record, "by another command")
    except Damaged:
        return None
    if record.failed_at() not in (None, one.failure):
        return Outcome(one.run, "failed", f"{record.failure()}; by another command")
    return None
