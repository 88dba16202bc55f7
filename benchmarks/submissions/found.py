"""What is found of a submission, and as `NAME.checked.json` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.common.escape import in_line
from benchmarks.common.files import digest_of
from benchmarks.submissions import form
from benchmarks.submissions.comparing import AGREES, DIFFERS, NOT_REMADE, Row, Summary
from benchmarks.tables import LEVEL
from benchmarks.tables.ledger import Ledger

NOT_VALID, BREAKS = "not valid", "breaks laws"
"""Verdicts beside the words of estimates."""


@dataclass(frozen=True)
class Checked:
    """What was found. verdict: the first of these that holds: "not valid", "breaks laws", "differs", "not remade" where
    no estimate could be, "agrees"."""

    name: str
    faults: Sequence[str] = ()
    laws: Mapping[str, Any] = field(default_factory=dict)
    suite: str = ""
    seeds: Sequence[int] = ()
    made: Ledger = field(default_factory=dict)
    rows: Sequence[Row] = ()
    left_out: str = ""

    @classmethod
    def faulty(cls, name: str, faults: Sequence[str]) -> Checked:
        """Of a claim that is not valid. A fault is a sentence in one line, whatever the claim has put into it."""
        lines = [in_line(fault) for fault in faults]
        return cls(name, [line if line.endswith(".") else f"{line}." for line in lines])

    @property
    def verdict(self) -> str:
        words = {row.word for row in self.rows}
        if self.faults:
            return NOT_VALID
        if any(one["broken"] for one in self.laws.values()):
            return BREAKS
        return next((word for word in (DIFFERS, AGREES) if word in words), NOT_REMADE)

    @property
    def well(self) -> bool:
        """Does nothing speak against the claim?"""
        return self.verdict in (AGREES, NOT_REMADE)


def content(checked: Checked, file: Path) -> dict[str, Any]:
    """As NAME.checked.json has it. claim: SHA-256 of the file that was looked at. level: the probability that an honest
    claim from another machine is said to differ anywhere."""
    environments: list[Any] = []
    for entry in checked.made.values():
        if entry.environment not in environments:
            environments.append(entry.environment)
    return {
        "format": form.FORMAT,
        "name": checked.name,
        "claim": digest_of(file),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "verdict": checked.verdict,
        "faults": list(checked.faults),
        "laws": checked.laws,
        "suite": checked.suite,
        "seeds": list(checked.seeds),
        "level": LEVEL,
        "environment": environments,
        "sources": sorted({entry.sources for entry in checked.made.values()}),
        "left_out": checked.left_out,
        "estimates": [
            asdict(row) | {side: numbers(getattr(row, side)) for side in ("claimed", "measured")}
            for row in checked.rows
        ],
    }


def numbers(summary: Summary | None) -> dict[str, Any] | None:
    """A summary by the names of its numbers."""
    return summary and summary._asdict()
