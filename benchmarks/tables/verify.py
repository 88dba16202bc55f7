"""Whether what lies in a folder of results is what was written: every finished run's files by their hashes, and tables
and ledgers by what the records give."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.settings import validated
from benchmarks.config import suite as suites
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.runner.damage import CHAIN
from benchmarks.runner.record import Damaged, Record
from benchmarks.runner.workspace import Workspace
from benchmarks.tables import aggregate, ledger, table
from benchmarks.tables.collect import known
from benchmarks.tables.ledger import Ledger
from benchmarks.tables.upkeep import whole_table

KEY = ("suite", "dataset", "method", "metric", "estimator", "protocol", "published_source", "published")

NUMBERS = ("status", "mean", "std", "n", "stderr")
"""Columns that do not depend on whether the runs themselves are on this disk."""


def chosen_suites(names: Sequence[str], results: Path) -> list[str]:
    """The suites to be looked at: those named, or all that have runs or a ledger here. UsageError where none has."""
    runs = {path.name for path in (results / "runs").glob("*") if path.is_dir()}
    there = sorted(runs | {path.name.removesuffix(".runs.json") for path in results.glob("*.runs.json")})
    for name in names:
        if Path(name).stem not in there:
            raise unknown(f"suite with results in {results}", Path(name).stem, there)
    if not there:
        raise UsageError(f"There is nothing to verify in {results}: name another folder with --results.")
    return list(names) or there


def finished(name: str, results: Path) -> list[Record]:
    """The records of a suite's runs that have ended."""
    return [Record(path.parent) for path in sorted((results / "runs" / name).glob("*/done"))]


# Records


def record_faults(record: Record) -> Iterator[str]:
    """What is wrong with a finished run, a line each. All bytes are read."""
    for name in ("config.json", "env.json", *CHAIN):
        try:
            content = record.read(name)
        except Damaged as error:
            yield f"{record.label}: {name} {error.why}"
            continue
        if content is None and name != "metrics.json":
            yield f"{record.label}: {name} is missing"
        for file, seal in (content or {}).get("files", {}).items():
            try:
                record.check(file, seal, read=True)
            except Damaged as error:
                yield f"{record.label}: {file} {error.why}"
    yield from name_faults(record)


def name_faults(record: Record) -> Iterator[str]:
    """Whether a run's settings are those that its folder is named after, and its estimates are of them."""
    try:
        content, done = record.read("config.json"), record.read("done")
        run: Run = validated(Run, content, record.label)
        if run.name != record.folder.name:
            yield f"{record.label}: its settings are those of {run.name}"
        elif done and done["evaluation"] != run.evaluation:
            yield f"{record.label}: its estimates are of other settings of the evaluation"
    except Damaged:
        return  # told already
    except (UsageError, ValueError, TypeError) as error:
        yield f"{record.label}: its settings are none of this version, or of a plug-in that was not named: {error}"


# Tables


def table_faults(chosen: Suite, request: Request, workspace: Workspace) -> Iterator[str]:
    """Where a suite's table or its ledger is not what its records give, a line each."""
    target = workspace.results / chosen.name
    try:
        before = ledger.read(target)
    except UsageError as error:
        yield str(error)
        return
    runs, _ = whole_table(chosen, request, [], workspace, before)
    if target.with_name(f"{target.name}.csv").is_file():
        yield from row_faults(chosen, runs, workspace, before)
    if before:
        yield from entry_faults(runs, workspace, before)


def row_faults(chosen: Suite, runs: list[Run], workspace: Workspace, before: Ledger) -> Iterator[str]:
    """Row by row. Where runs are in the ledger alone, their numbers count and not what is said of them."""
    path = workspace.results / f"{chosen.name}.csv"
    frame, _ = aggregate.build(chosen, runs, workspace, before)
    given, there = rows(table.text(frame)), rows(path.read_text(encoding="utf-8"))
    elsewhere = any(known(run, before) and not workspace.record(run).folder.is_dir() for run in runs)
    for key in dict.fromkeys((*there, *given)):
        what = f"{path.name}: {', '.join(filter(None, key[1:5]))}"
        if key not in given:
            yield f"{what}: no record gives this row"
        elif key not in there:
            yield f"{what}: the row is missing"
        else:
            names = NUMBERS if elsewhere else given[key]
            wrong = [name for name in names if given[key][name] != there[key].get(name)]
            if wrong:
                now, then = there[key].get(wrong[0]), given[key][wrong[0]]
                yield f"{what}: {wrong[0]} is '{now}', and the records give '{then}'"


def rows(text: str) -> dict[tuple[str, ...], dict[str, str]]:
    """A table's rows by what they are of."""
    return {tuple(row.get(name, "") for name in KEY): row for row in csv.DictReader(io.StringIO(text))}


def entry_faults(runs: list[Run], workspace: Workspace, before: Ledger) -> Iterator[str]:
    """Run by run. When a run ended is not held against its files' times, which copies do not keep."""
    with TemporaryDirectory() as folder:
        ledger.write(ledger.entries(runs, workspace, before), Path(folder) / "given")
        given = ledger.read(Path(folder) / "given")
    for name in dict.fromkeys((*before, *given)):
        if name not in given:
            yield f"{name}: it is in the ledger, and its record has not ended"
        elif name not in before:
            yield f"{name}: it has ended, and is not in the ledger"
        elif wrong := differing(before[name], given[name]):
            yield f"{name}: its {wrong} in the ledger is not what its record has"


def differing(one: Any, other: Any) -> str:
    """The first field in which two entries differ; empty where none does."""
    one, other = replace(one, ended=""), replace(other, ended="")
    return next((name for name, value in vars(one).items() if value != vars(other)[name]), "")


def faults(name: str, request: Request, workspace: Workspace) -> tuple[int, list[str], str]:
    """(how many runs of a suite were looked at, what is wrong, why its table was not looked at if it was not)."""
    records = finished(Path(name).stem, workspace.results)
    wrong = [line for record in records for line in record_faults(record)]
    try:
        chosen = suites.read(name)
    except UsageError:
        return len(records), wrong, "its table was not looked at: give the suite's file with --suite"
    return len(records), [*wrong, *table_faults(chosen, request, workspace)], ""
