"""Who may be ranked with whom: estimates whose density is as certain as each other's, and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.common.rows import Row
from benchmarks.tables.console import alarm, how
from benchmarks.tables.headline import CERTAINTIES, Answer, verdict
from benchmarks.tables.notes import text

UNRANKED = "unranked"

UNRELIABLE = "unreliable"

LIKELIHOOD = "likelihood"
"""The question whose figures take the prior's density."""

GROUPS: Mapping[str, tuple[str, str]] = {
    "exact": ("Exact densities", "ranked among themselves"),
    "estimate": (
        "Estimated densities",
        "ln Z is estimated, with its error in each figure's: ranked among such alone",
    ),
    "bound": ("Bounds", "looser than the truth by an unknown amount: ranked among such alone"),
    UNRANKED: ("Not ranked", "each for the reason that its verdict says; in no order"),
}
"""A title and what is said of it, by the certainty of the deciding figure's density, in the order of a page."""


NO_DENSITY = ("Ranked", "by a figure that takes no density or an exact one")


def title_of(group: str, question: str) -> tuple[str, str]:
    """A title and what is said of a group where this question decides."""
    return NO_DENSITY if group == "exact" and question != LIKELIHOOD else GROUPS[group]


def doubted(rows: Sequence[Row]) -> list[Row]:
    """A table's rows, in which a doubt is of all estimates of one kind. The weights of importance samples are as uneven
    with fewer draws, with which alone nobody can see it."""
    doubts = {_kind(row): row for row in rows if row["status"] == "ok" and text(row["alarm"]) == UNRELIABLE}
    return [
        {**row, "alarm": UNRELIABLE, "remark": text(doubts[_kind(row)]["remark"])}
        if row["status"] == "ok" and _kind(row) in doubts and not text(row["alarm"])
        else row
        for row in rows
    ]


def _kind(row: Row) -> tuple[str, str, str, str]:
    one = how(row)
    return row["method"], row["metric"], one.kind + one.at, one.of


def group_of(row: Row | None) -> str:
    """Which of GROUPS a method is in by its deciding row. What is unreliable or a trial is ranked with nothing."""
    if row is None or row["status"] != "ok" or text(row["trial"]) or alarm(row):
        return UNRANKED
    certainty: str = how(row).certainty
    return certainty


def judged(row: Row | None, deciding: Answer, table: str) -> tuple[str, str]:
    """(the word of the table's own standings, or why there is none; the reason of that)."""
    if row is None:
        return "no figure", f"{table} has no {deciding.metric} {deciding.estimator} of it"
    if row["status"] == "ok" and (trial := text(row["trial"])):
        return "a trial", f"run with {trial}"
    word, reason = verdict(row)
    plain = word.lstrip("".join(CERTAINTIES.values()))
    if row["status"] == "ok" and (doubt := alarm(row)):
        own = f"{plain} by its table's own test" if text(row["standing_label"]) else ""
        return doubt, "; ".join(filter(None, (text(row["remark"]) or reason, own)))
    return ("", f"{reason} in {table}") if plain == "not ranked" else (WORDS.get(plain, plain), reason)


WORDS = {"-": "undefined"}
"""In the place of signs."""


def placed(rows: Mapping[str, Row], keys: list[str], direction: str) -> list[str]:
    """The keys in the order of their rows' means, the better first."""
    return sorted(keys, key=lambda key: rows[key]["mean"], reverse=direction == "higher")
