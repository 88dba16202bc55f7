"""The tables of a folder, with what lies beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.common.errors import UsageError
from benchmarks.common.files import digest_of
from benchmarks.common.names import COST
from benchmarks.report import rows
from benchmarks.report.content import costs_of
from benchmarks.tables import ledger, table
from benchmarks.tables.ledger import Ledger
from benchmarks.tables.shown import versions

LEFT_OUT = "it is left out"

RUNS = ".runs"
"""Ends the stem of a ledger's CSV."""


@dataclass(frozen=True)
class Given:
    """A table by its file's name, with its costs and its ledger; both empty where there is none."""

    path: Path
    frame: pd.DataFrame
    costs: pd.DataFrame
    ledger: Ledger
    lacking: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def suite(self) -> str:
        return str(self.frame["suite"].iloc[0])

    @property
    def trial(self) -> tuple[str, ...]:
        """What was otherwise than the suite has it."""
        return rows.trial(self.frame)

    @property
    def ended(self) -> str:
        """The day on which the last run ended; empty where no ledger says so."""
        return max((one.ended[:10] for one in self.ledger.values()), default="")

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return digest_of(self.path)

    @property
    def made(self) -> dict[str, str]:
        """Machine, versions and sources from NAME.made.json, which tables have that are older than ledgers."""
        try:
            first, *others = json.loads(self.path.with_name(f"{self.name}.made.json").read_text(encoding="utf-8"))
            told = {"runs": str(first["runs"]), **{key: _words(key, one) for key, one in first["by"].items()}}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return told if not others else {**told, "and": f"{len(others)} more sets of runs, made otherwise"}


def _words(key: str, value: Any) -> str:
    return versions(value) if key == "packages" else str(value)


def tables(folder: Path) -> tuple[list[Given], list[str]]:
    """(those of the folder in the order of their names, why other CSV files are left out). UsageError where it has no
    table at all, or where a ledger is not as it was written."""
    found, left_out = [], []
    for path in sorted(folder.glob("*.csv")):
        if path.stem.endswith((RUNS, COST)):
            continue
        try:
            frame, lacking = table.read(path, LEFT_OUT)
        except UsageError as reason:
            left_out.append(str(reason))
            continue
        if frame.empty:
            left_out.append(f"{path} has no rows; {LEFT_OUT}.")
        else:
            found.append(_given(path, frame, lacking))
    if not found:
        none = f"There are no tables in {folder}: name a folder of tables with --results."
        raise UsageError(" ".join((none, *left_out)))
    return found, left_out


def _given(path: Path, frame: pd.DataFrame, lacking: tuple[str, ...]) -> Given:
    known = ledger.read(path.with_suffix(""))
    return Given(path, frame, costs_of(path.with_name(f"{path.stem}{COST}.csv"), known), known, lacking)
