"""Has a table moved from its baseline? Two tables of one suite are compared row by row.

What another choice of seeds explains is no change: see `tolerance`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd
import scipy

from benchmarks.common.rows import records
from benchmarks.tables import LEVEL, table
from benchmarks.tables.notes import text

Row = dict[str, Any]

KEY = ("dataset", "method", "metric", "estimator")
"""What a row is of: baseline and table are joined by it."""

COLUMNS = table.OWN
"""Of a baseline: a table's columns but for what it says of papers and of rankings."""

TAILS = 7
"""Degrees of freedom that an estimate's tails over seeds are taken to have at most: they are heavier than a normal
law's (a KL near collapse is almost lognormal), however many seeds there are."""

ROUNDING = 1e-5
"""Relative change of an estimate in float32 between machines and versions of torch."""

STEPS = {"dimensions": 1.0, "share": 0.01}
"""What counted estimates move by, by unit: one dimension, one image in a hundred."""

TROUBLE = ("failed", "diverged")
FINE = ("same", "new", "gone", "untested")
"""Verdicts that leave the exit status 0. `better` does not: a wrong sign in a density makes a likelihood too good."""


class Change(NamedTuple):
    """A row of the baseline and of the new table, where they are there, and what became of it.

    tolerances: new - old mean in units of the tolerance; inf where no two estimates are compared.
    """

    old: Row | None
    new: Row | None
    verdict: str
    tolerances: float = math.inf

    @property
    def row(self) -> Row:
        return self.new or self.old or {}


def own(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without the papers' numbers."""
    return frame.loc[frame["status"] != "published", [*COLUMNS]]


def compare(baseline: pd.DataFrame, found: pd.DataFrame, level: float = LEVEL) -> list[Change]:
    """What became of every row of the baseline, and which rows are new."""
    old, new = rows(baseline), rows(found)
    pairs = {key: (old[key], new[key]) for key in old if key in new}
    family = sum(not kind(*pair) for pair in pairs.values())
    changes = {key: gone(row) for key, row in old.items()} | {key: come(row) for key, row in new.items()}
    for key, pair in pairs.items():
        changes[key] = Change(*pair, said) if (said := kind(*pair)) else judge(*pair, level / family)
    return list(changes.values())


def rows(frame: pd.DataFrame) -> dict[tuple[str, ...], Row]:
    """Rows by their key; `complete`: no seed of the table is missing in this one."""
    complete = frame.assign(complete=frame["n"] == frame["n"].max())
    return {tuple(text(row[name]) for name in KEY): row for row in records(complete)}


def gone(old: Row) -> Change:
    """A row of the baseline alone."""
    return Change(old, None, "vanished" if old["status"] == "ok" else "gone")


def come(new: Row) -> Change:
    """A row of the new table alone."""
    return Change(None, new, new["status"] if new["status"] in TROUBLE else "new")


def kind(old: Row, new: Row) -> str:
    """The verdict where there are no two estimates to compare; empty where there are.

    A seed that is missing in a row that had all is a run that failed or diverged.
    """
    if old["status"] != new["status"]:
        return f"{old['status']}, now {new['status']}"
    if new["status"] != "ok":
        return "same"
    if text(old["protocol"]) != text(new["protocol"]):
        return "another protocol"
    return "seeds missing" if old["complete"] and not new["complete"] else ""


def judge(old: Row, new: Row, level: float) -> Change:
    """An estimate against its baseline, at this row's share of the level."""
    difference, allowed = new["mean"] - old["mean"], tolerance(old, new, level)
    if math.isnan(allowed):
        return Change(old, new, "untested")
    tolerances = difference / allowed if difference else 0.0
    if abs(tolerances) <= 1:
        return Change(old, new, "same", tolerances)
    towards = {"lower": -1, "higher": 1}.get(new["direction"], 0) * difference
    return Change(old, new, "better" if towards > 0 else "worse" if towards < 0 else "moved", tolerances)


def tolerance(old: Row, new: Row, level: float) -> float:
    """How far from its baseline the mean of n seeds may lie, in the estimate's unit; nan where it has one seed.

        t s sqrt(1/n + 1/N) + floor

    s is the standard deviation over the baseline's N seeds, t the two-sided quantile of Student's law at `level` with
    min(N - 1, TAILS) degrees of freedom. With N - 1 this is the prediction interval for the mean of n more draws of one
    normal law, exact whatever its variance (Hahn and Meeker 1991). A suite's level is split evenly over its rows
    (Bonferroni), as they depend on each other in every way: some row of an unchanged suite is outside with probability
    <= level.

    The new seeds' own spread is left out: two or three show little of it, and where one of two explodes it widens a
    pooled spread as fast as it moves the mean. Such a t never passes N / sqrt(N + 2), 5.5 at N = 32, however far the
    seed has gone, and more is asked of it.

    Estimates are not normal over seeds. Of 120 seeds of the suite `smoke` (171 estimates, 20,000 draws without
    replacement), N - 1 degrees of freedom call an unchanged run of two changed in 8 % of tries at N = 32 where 1 % is
    meant: the more seeds, the smaller t, and the tails stay. With at most TAILS it is 0.2 %, and 0.4 %, 0.7 % and 1.2 %
    at N = 20, 16 and 12. Two seeds against 32 are then called changed where they move by 6 s, five by 4 s. Simulated
    suites of 170 independent estimates keep the level where all are normal, or have the tails of 7 degrees of freedom;
    were all tails those of 4, 1 % would be 4 % at N = 32 and 8 % at N = 12.

    floor: what is not the seeds'. ROUNDING times the estimate, which is all that an exact estimate may move by; and for
    a counted one that is the same for all seeds of the baseline, one step (STEPS) in one seed. Seeds that the baseline
    has too lie closer to it still.
    """
    n, many = new["n"], old["n"]
    t = scipy.stats.t.isf(level / 2, min(many - 1, TAILS))
    rounding = ROUNDING * max(abs(old["mean"]), abs(new["mean"]))
    step = STEPS.get(new["unit"], 0.0) / n if old["std"] <= rounding else 0.0
    return t * old["std"] * math.sqrt(1 / n + 1 / many) + rounding + step
