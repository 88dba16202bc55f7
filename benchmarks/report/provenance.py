"""Where a table's numbers are from: protocol, methods, runs, environment, and the command that makes them."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.cli import Selection
from benchmarks.common.errors import UsageError
from benchmarks.config import methods, suite
from benchmarks.config.settings import Run
from benchmarks.config.suite import Request, Suite
from benchmarks.datasets import DataError
from benchmarks.tables.ledger import Ledger
from benchmarks.tables.shown import versions

Cell = tuple[str, str]
"""A data set and a method."""


@dataclass(frozen=True)
class Cells:
    """The table's cells. known: their runs by seed. unknown: why there are none, as for a plug-in that is not named."""

    known: dict[Cell, list[Run]]
    unknown: dict[Cell, str]

    @property
    def runs(self) -> list[Run]:
        return [run for runs in self.known.values() for run in runs]


@dataclass(frozen=True)
class Method:
    """A method as the catalogue or the suite has it."""

    name: str
    title: str
    source: str
    laid_over: tuple[str, ...]


def cells(chosen: Suite, request: Request, frame: pd.DataFrame) -> Cells:
    """All of the table's data sets and methods as the suite now defines them."""
    found = Cells({}, {})
    for dataset, method in dict.fromkeys(zip(*_ours(frame), strict=True)):
        only = replace(request, datasets=(dataset,), methods=(method,))
        try:
            found.known[dataset, method] = suite.expand(chosen, only)
        except (UsageError, DataError) as reason:
            found.unknown[dataset, method] = str(reason)
    return found


def _ours(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Data sets and methods of the rows that are not a paper's alone."""
    ours = frame[frame["status"] != "published"]
    return ours["dataset"].tolist(), ours["method"].tolist()


def protocol(name: str) -> list[str]:
    """The paragraphs of the comment at the head of a suite's file."""
    lines = suite.path_of(name).read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines)
    paragraphs = "\n".join(line.lstrip("#").strip() for line in comment).split("\n\n")
    return [" ".join(one.split()) for one in paragraphs if one.strip()]


def methods_of(chosen: Suite, frame: pd.DataFrame) -> list[Method]:
    """What the table's methods are."""
    return [entry(chosen, name) for name in dict.fromkeys(_ours(frame)[1])]


def entry(chosen: Suite, name: str) -> Method:
    """What a method is in a suite."""
    catalogued, own = suite.definition(chosen, name)
    if use := own.pop("use", None):
        return Method(name, f"a VAE with the prior {use}", "", tuple(suite.flat(own)))
    known = name in (*chosen.method, *methods.available())
    return Method(name, catalogued.title if known else "not known here", catalogued.source, tuple(suite.flat(own)))


def invocation(command: Selection, only: Sequence[str] = ()) -> str:
    """The command that makes the table, of the runs that `only` names."""
    words = ["python", "-m", "benchmarks.run", "--suite", command.suite, *only]
    words += ["--preset", command.preset] if command.preset else []
    words += [word for setting in command.set for word in ("--set", setting)]
    words += [word for path in command.plugin for word in ("--plugin", str(path))]
    return shlex.join(words + (["--name", command.name] if command.name else []))


def flags(chosen: Suite, command: Selection, frame: pd.DataFrame) -> list[str]:
    """Those that name the table's data sets and methods, where a part was asked for or the suite does not name all."""
    datasets, names = _ours(frame)
    asked = (
        ("--dataset", datasets, [one.label for one in suite.data_of(chosen)], command.dataset),
        ("--method", names, chosen.methods, command.method),
    )
    part = ((flag, found) for flag, found, own, only in asked if only or {*found} - {*own})
    return [word for flag, found in part for word in (flag, *dict.fromkeys(found))]


def facts(ledger: Ledger, target: Path) -> dict[str, str]:
    """How many runs the table is of, and what they ran on by its ledger, with counts where they do not agree."""
    if not ledger:
        return {"runs": f"there is no {target.name}.runs.json beside the table: what they ran on is not known"}
    seeds = sorted({one.seed for one in ledger.values()})
    days = sorted(one.ended[:10] for one in ledger.values())
    ended = f"{len(ledger)}, ended {days[0]}" + (f" to {days[-1]}" if days[-1] != days[0] else "")
    shown = {"seeds": ", ".join(map(str, seeds)), "runs": ended}
    every = [pair for one in ledger.values() for pair in _flat({**one.environment, "sources": one.sources})]
    for key in dict.fromkeys(key for key, _ in every):
        counts = Counter(value for name, value in every if name == key)
        values = [f"{value} ({n} of {len(ledger)})" for value, n in counts.most_common()]
        shown[key] = "; ".join(values) if len(counts) > 1 else next(iter(counts))
    return shown


def _flat(environment: dict[str, Any]) -> list[tuple[str, str]]:
    packages = versions(environment["packages"])
    return [
        (key, "not known" if value is None else str(value))
        for key, value in {**environment, "packages": packages}.items()
    ]


def caveats(found: Cells, trial: Sequence[str], ledger: Ledger) -> list[str]:
    """What of the settings shown may not hold for the rows. A ledger has those of the runs themselves."""
    if ledger:
        return []
    told = [
        f"The settings of {method} on {dataset} are not known here. {why}"
        for (dataset, method), why in found.unknown.items()
    ]
    asked = tuple(dict.fromkeys("; ".join(run.trial) for run in found.runs if run.trial))
    if found.known and {*asked} != {*trial}:
        theirs, ours = (" and ".join(one) or "the suite's own settings" for one in (trial, asked))
        told.append(f"The rows were run with {theirs}; the settings shown here are those of {ours}.")
    return told


def settings_of(found: Cells, ledger: Ledger, frame: pd.DataFrame) -> dict[Cell, Mapping[str, Any]]:
    """The settings of each data set and method of the table: those that its runs were made with; without a ledger those
    of today's suite."""
    shown = {*zip(*_ours(frame), strict=True)}
    made = {(one.dataset, one.method): one.settings for one in ledger.values()}
    kept = {cell: settings for cell, settings in made.items() if cell in shown}
    return kept or {cell: runs[0].model_dump(mode="json") for cell, runs in found.known.items()}
