"""What stands on the disk before a command begins: which runs are finished, damaged, or of older sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from benchmarks.config.settings import Run
from benchmarks.runner.damage import clear, damages, heal, told
from benchmarks.runner.lease import Held
from benchmarks.runner.lifecycle import made_with
from benchmarks.runner.record import Record
from benchmarks.runner.sources import maker
from benchmarks.runner.workspace import Workspace


def finished(run: Run, workspace: Workspace) -> bool:
    """Has the run ended, with all estimates that can be computed here, on the data that are here?"""
    return workspace.done(run) and made_with(workspace.record(run), workspace.on_cpu.dataset(run))


def mend(runs: Sequence[Run], workspace: Workspace) -> list[str]:
    """Puts aside what is damaged of the records, unless another process holds them; a line each."""
    lines = []
    for record in map(workspace.record, runs):
        if record.folder.is_dir() and damages(record):
            with suppress(Held), record.claim():
                if wrong := damages(record):
                    heal(record, wrong)
                    lines.append(f"damaged: {record.label}: {told(wrong)}")
    return lines


def age(runs: Sequence[Run], workspace: Workspace, what: str) -> list[str]:
    """A line for each way in which runs are older than today's sources and versions. what: "keep" or "rerun" them."""
    older = stale(runs, workspace)
    if what == "rerun":
        discard([run for run, _ in older], workspace)
    ways = Counter(way for _, way in older)
    return [f"older: {counted(n)} made by {way}: {end(n, what)}" for way, n in ways.items()]


def stale(runs: Sequence[Run], workspace: Workspace) -> list[tuple[Run, str]]:
    """The runs that other sources or versions made or began, each with which."""
    found = []
    for run in runs:
        made, now = workspace.record(run).read("made.json"), maker(run)
        if made and made["by"] != [now]:
            found.append((run, differences(made["by"], now)))
    return found


def counted(n: int) -> str:
    return f"{n} run was" if n == 1 else f"{n} runs were"


def end(n: int, what: str) -> str:
    """What becomes of them."""
    them, are = ("it", "it is") if n == 1 else ("them", "they are")
    return f"{are} kept; --stale rerun makes {them} anew" if what == "keep" else f"{are} made anew"


def differences(by: Sequence[dict[str, str]], now: dict[str, str]) -> str:
    """`other sources of this project, torch 2.12.0 (now 2.13.0)`."""
    digests = {"sources": "other sources of this project", "plugin": "other sources of the plug-in"}
    parts = []
    for key, value in now.items():
        others = sorted({one.get(key, "none") for one in by} - {value})
        if others:
            parts.append(digests.get(key, f"{key} {' and '.join(others)} (now {value})"))
    return ", ".join(parts)


def discard(runs: Sequence[Run], workspace: Workspace) -> None:
    """Takes away all that these runs' estimates depend on, unless another process makes them anew now or has done so
    since they were looked at."""
    for run in runs:
        record = workspace.record(run)
        with suppress(Held), record.claim():
            if stale([run], workspace):
                clear(record)


def unreadable(records: Sequence[Record]) -> list[str]:
    """A line for each record of which not even the settings can be read: whose it is, is not known."""
    what = "its rows are left out until the command that made it is given again"
    return [f"damaged: {record.label}/config.json: {what}" for record in records]
