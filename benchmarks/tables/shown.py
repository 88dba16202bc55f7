"""A table's runs one by one: each seed's estimates and what made them, beside those of another folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.common.errors import UsageError, unknown
from benchmarks.common.rows import records
from benchmarks.common.screen import unbounded
from benchmarks.config.suite import leaves
from benchmarks.tables import ledger
from benchmarks.tables.ledger import Entry, Ledger

KEY = ("dataset", "method", "seed", "metric", "estimator")


@dataclass(frozen=True)
class Request:
    """Which estimates of which runs; what is empty leaves all. metric: the suite's name of it, or the row's. settings:
    show these too."""

    dataset: Collection[str] = ()
    method: Collection[str] = ()
    seeds: Collection[int] = ()
    metric: Collection[str] = ()
    estimator: Collection[str] = ()
    settings: bool = False

    def runs(self, known: Ledger) -> dict[str, Entry]:
        """The runs that are meant."""
        return {name: one for name, one in known.items() if self._meant(one)}

    def _meant(self, one: Entry) -> bool:
        pairs = ((self.dataset, one.dataset), (self.method, one.method), (self.seeds, one.seed))
        return all(not asked or own in asked for asked, own in pairs)

    def estimates(self, known: Ledger) -> pd.DataFrame:
        """A row an estimate of a run."""
        rows = ledger.frame(self.runs(known))
        if self.metric:
            rows = rows[rows["metric"].isin(self.metric) | rows["asked"].isin(self.metric)]
        return rows[rows["estimator"].isin(self.estimator)] if self.estimator else rows

    def check(self, known: Ledger) -> None:
        """UsageError with the near name for what no run has."""
        rows = ledger.frame(known)
        there: dict[str, set[Any]] = {
            "data set": {one.dataset for one in known.values()},
            "method": {one.method for one in known.values()},
            "seed": {str(one.seed) for one in known.values()},
            "metric": {*rows["asked"], *rows["metric"]},
            "estimator": {*rows["estimator"]},
        }
        asked = (self.dataset, self.method, map(str, self.seeds), self.metric, self.estimator)
        for (kind, names), wanted in zip(there.items(), asked, strict=True):
            for name in wanted:
                if name not in names:
                    raise unknown(kind, name, sorted(names))


def told(console: Console, target: Path, asked: Request, other: Path | None) -> None:
    """All that is asked for of a table's ledger. other: a table of the same runs elsewhere, to hold them against."""
    known = demanded(target)
    asked.check(known)
    rows = asked.estimates(known)
    if other:
        rows = beside(rows, ledger.frame(demanded(other)))
    console = unbounded(console)
    show(console, rows, against=other is not None)
    console.print()
    runs = asked.runs(known)
    made(console, runs)
    listed(console, runs)
    if asked.settings:
        show_settings(console, runs)
    if other:
        console.print(verdict(rows), highlight=False)


def demanded(target: Path) -> dict[str, Entry]:
    """The ledger of a table; UsageError where it has none."""
    if known := ledger.read(target):
        return known
    raise UsageError(
        f"There is no {target}.runs.json: run the suite first, or name another folder with --results (the tables that "
        "come with the project are in results/reference)."
    )


def verdict(rows: pd.DataFrame) -> str:
    """How many of the estimates are equal to the other folder's, and how far the others are from them."""
    held = rows[rows["other"].notna()]
    equal = held["difference"].eq(0)
    text = f"{len(held)} of {len(rows)} estimates are in both: {equal.sum()} equal to the last digit"
    if equal.all():
        return text
    share = (held["difference"].abs() / held["other"].abs().where(held["other"] != 0, 1.0))[~equal]
    return f"{text}, {len(share)} not, by at most {share.max():.2g} of their value"


def show_settings(console: Console, runs: Ledger) -> None:
    """Each method's settings on each data set."""
    for entry in {(one.dataset, one.method): one for one in runs.values()}.values():
        console.print(f"{entry.method} on {entry.dataset}", style="bold", highlight=False, markup=False)
        for key, value in leaves(entry.settings):
            console.print(f"  {key} = {value}", highlight=False, markup=False, soft_wrap=True)


def beside(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The rows with the other folder's value of the same estimate, seed and protocol, and ours less it."""
    theirs = others.set_index([*KEY, "protocol"])["value"].rename("other")
    joined = rows.join(theirs[~theirs.index.duplicated()], on=[*KEY, "protocol"])
    return joined.assign(difference=joined["value"] - joined["other"])


def show(console: Console, rows: pd.DataFrame, against: bool) -> None:
    """The estimates, one a line, in full."""
    numbers = ("value", "error", *(("other", "difference") if against else ()))
    table = Table(box=None, pad_edge=False, header_style="underline")
    for name in KEY:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in records(rows):
        shown = (f"{row[name]:.10g}" if pd.notna(row[name]) else "" for name in numbers)
        table.add_row(*(str(row[name]) for name in KEY), *shown, row["alarm"])
    console.print(table)


def made(console: Console, runs: Ledger) -> None:
    """What made these runs, each set of facts once, with how many runs it is of."""
    for facts, names in grouped(runs).items():
        console.print(f"{len(names)} runs" if len(names) > 1 else next(iter(names)), style="bold", highlight=False)
        for key, value in facts:
            console.print(f"  {key:12} {value}", highlight=False, markup=False, soft_wrap=True)


def grouped(runs: Ledger) -> dict[tuple[tuple[str, str], ...], list[str]]:
    """The names of the runs by what is alike of them."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, entry in runs.items():
        found.setdefault(tuple(facts(entry).items()), []).append(name)
    return found


def facts(entry: Entry) -> dict[str, str]:
    """Machine, versions and sources of a run, for people."""
    machine = {key: value for key, value in entry.environment.items() if key not in ("packages", "commit")}
    packages = versions(entry.environment["packages"])
    told = {**machine, "packages": packages, "commit": entry.environment.get("commit"), "sources": entry.sources}
    return {key: "not known" if value is None else str(value) for key, value in told.items()} | {
        "data": entry.data[:16]
    }


def versions(packages: Mapping[str, Any]) -> str:
    """`numpy 2.4.6, torch 2.13.0`."""
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def listed(console: Console, runs: Ledger) -> None:
    """A line a run: when it ended, what its weights are, and how its training's turns were computed."""
    for name, entry in runs.items():
        weights = f", weights {entry.weights[:16]}" if entry.weights else ""
        turns = f", turns {how_computed(entry)}" if "turns" in entry.training else ""
        console.print(f"  {entry.ended}  {name}{weights}{turns}", highlight=False, markup=False, soft_wrap=True)


def how_computed(entry: Entry) -> str:
    """As written, captured, or why not; by player where they have different answers."""
    turns = entry.training["turns"]
    return ", ".join(dict.fromkeys(map(str, turns.values()))) if isinstance(turns, Mapping) else str(turns)
