"""Third parties' claims beside what was measured when they were made anew, as the files of submissions have them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables.console import rounded

CHECKED = ".checked.json"
"""Ends the name of what was found of a claim, beside the claim."""

UNCHECKED, CHANGED = "not checked yet", "changed since it was checked"


@dataclass(frozen=True)
class Row:
    """One estimate of a claim: means with standard errors over seeds, and the word that holds them together."""

    of: tuple[str, str, str, str]
    claimed: str
    measured: str
    word: str
    reason: str


@dataclass(frozen=True)
class Submission:
    """A prior that somebody has submitted. verdict: of the check, or why there is none."""

    name: str
    summary: str
    suite: str
    claimed_on: str
    checked_on: str
    verdict: str
    faults: tuple[str, ...]
    left_out: str
    rows: tuple[Row, ...]


def submissions(results: Path) -> list[Submission]:
    """Those in the folder `submissions` of the results, or beside the folder of tables. A file that cannot be read as a
    claim is left out: `submit --check` says what is wrong with it."""
    folders = (results / "submissions", results.resolve().parent / "submissions")
    folder = next((one for one in folders if one.is_dir()), folders[0])
    found = []
    for path in sorted(folder.glob("*/*.json")):
        if not path.name.endswith(CHECKED):
            try:
                found.append(submission(path))
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
    return found


def submission(path: Path) -> Submission:
    """A claim with what was found of it."""
    text = path.read_bytes()
    claim = json.loads(text)
    beside = path.with_name(f"{path.stem}{CHECKED}")
    checked = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    stands = checked.get("claim") == hashlib.sha256(text).hexdigest()
    return Submission(
        name=str(claim["name"]),
        summary=str(claim["summary"]),
        suite=str(claim["suite"]["name"]),
        claimed_on=str(claim["date"])[:10],
        checked_on=str(checked.get("date", ""))[:10],
        verdict=str(checked["verdict"]) if stands else CHANGED if checked else UNCHECKED,
        faults=tuple(map(str, checked.get("faults", ()))) if stands else (),
        left_out=str(checked.get("left_out", "")) if stands else "",
        rows=tuple(sorted(map(row, checked.get("estimates", ())), key=agreeing)) if stands else (),
    )


def agreeing(one: Row) -> bool:
    """Those that differ come first."""
    return one.word != "differs"


def row(one: Mapping[str, Any]) -> Row:
    """One estimate of what was found."""
    about = (str(one["dataset"]), str(one["method"]), str(one["metric"]), str(one["estimator"]))
    return Row(about, number(one["claimed"]), number(one["measured"]), str(one["word"]), str(one["reason"]))


def number(summary: Mapping[str, Any] | None) -> str:
    """`22.980 ± 0.008`, to two digits of the error; nothing where there is none."""
    if summary is None:
        return ""
    error = float(summary["std"] or math.nan) / math.sqrt(summary["n"])
    told = rounded(float(summary["mean"]), error)
    return f"{told} ± {rounded(error, error)}" if error > 0 else told
