"""Third parties' claims beside what was measured when they were made anew, as the files of submissions have them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.common.files import digest_of
from benchmarks.common.started import program
from benchmarks.submissions.comparing import DIFFERS, Summary
from benchmarks.submissions.form import CHECKED, claims_in
from benchmarks.submissions.shown import number

UNCHECKED, CHANGED, UNREADABLE = "not checked yet", "changed since it was checked", "its check cannot be read"
"""Why a claim has no verdict."""

WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""What reading a file raises that is not as it was written."""


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
    """A prior that somebody has submitted. folder: its own, as two may have one name. verdict: of the check, or why
    there is none."""

    folder: str
    name: str
    summary: str
    suite: str
    claimed_on: str
    verdict: str = UNCHECKED
    checked_on: str = ""
    faults: tuple[str, ...] = ()
    left_out: str = ""
    rows: tuple[Row, ...] = ()


def submissions(results: Path) -> tuple[list[Submission], list[str]]:
    """(those in the folder `submissions` of the results, or beside the folder of tables, why others are left out)."""
    folders = (results / "submissions", results.resolve().parent / "submissions")
    folder = next((one for one in folders if one.is_dir()), folders[0])
    found, left_out = [], []
    for path in (claim for one in sorted(folder.glob("*/")) for claim in claims_in(one)):
        try:
            found.append(submission(path))
        except WRONG:
            how = f"`{program('submit')} --check {shlex.quote(str(path))}` says what is wrong with it"
            left_out.append(f"{path} is no claim; it is left out: {how}.")
    return found, left_out


def submission(path: Path) -> Submission:
    """A claim with what was found of it."""
    claim = json.loads(path.read_bytes())
    alone = Submission(
        folder=path.parent.name,
        name=str(claim["name"]),
        summary=str(claim["summary"]),
        suite=str(claim["suite"]["name"]),
        claimed_on=str(claim["date"])[:10],
    )
    beside = path.with_name(f"{path.stem}{CHECKED}")
    try:
        return of_check(alone, json.loads(beside.read_bytes()), digest_of(path)) if beside.is_file() else alone
    except WRONG:
        return replace(alone, verdict=UNREADABLE)


def of_check(one: Submission, checked: Mapping[str, Any], sha256: str) -> Submission:
    """The same with what was found, where that is of the claim with this SHA-256."""
    dated = replace(one, verdict=CHANGED, checked_on=str(checked["date"])[:10])
    if checked["claim"] != sha256:
        return dated
    return replace(
        dated,
        verdict=str(checked["verdict"]),
        faults=tuple(map(str, checked.get("faults", ()))),
        left_out=str(checked.get("left_out", "")),
        rows=tuple(sorted(map(row, checked.get("estimates", ())), key=agreeing)),
    )


def agreeing(one: Row) -> bool:
    """Those that differ come first."""
    return one.word != DIFFERS


def row(one: Mapping[str, Any]) -> Row:
    """One estimate of what was found."""
    about = (str(one["dataset"]), str(one["method"]), str(one["metric"]), str(one["estimator"]))
    claimed, measured = (number(one[side] and Summary(**one[side])) for side in ("claimed", "measured"))
    return Row(about, claimed, measured, str(one["word"]), str(one["reason"]))
