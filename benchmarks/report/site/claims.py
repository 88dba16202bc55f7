"""Third parties' claims beside what was measured when they were made anew, as the files of submissions have them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.files import digest_of
from benchmarks.submissions.comparing import DIFFERS, Summary
from benchmarks.submissions.form import CHECKED, claims_in
from benchmarks.submissions.shown import number

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
    for path in (claim for one in sorted(folder.glob("*/")) for claim in claims_in(one)):
        try:
            found.append(submission(path))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def submission(path: Path) -> Submission:
    """A claim with what was found of it."""
    claim = json.loads(path.read_bytes())
    beside = path.with_name(f"{path.stem}{CHECKED}")
    checked = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    stands = checked.get("claim") == digest_of(path)
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
    return one.word != DIFFERS


def row(one: Mapping[str, Any]) -> Row:
    """One estimate of what was found."""
    about = (str(one["dataset"]), str(one["method"]), str(one["metric"]), str(one["estimator"]))
    claimed, measured = (number(one[side] and Summary(**one[side])) for side in ("claimed", "measured"))
    return Row(about, claimed, measured, str(one["word"]), str(one["reason"]))
