"""Has a table moved from its baseline? Two tables of one suite are compared row by row.

What another choice of seeds explains is no change: see `tolerance`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd
from scipy import stats

from benchmarks.common.rows import records
from benchmarks.tables import LEVEL, table
from benchmarks.tables.notes import text

Row = dict[str, Any]

KEY = ("dataset", "method", "metric", "estimator")
"""What a row is of: baseline and table are joined by it."""

COLUMNS = table.OWN
"""Of a baseline: a table's columns but for what it says of papers and of rankings."""

TAILS = 7
"""Degrees of freedom that a figure's tails over seeds are taken to have at most: they are heavier than a normal law's
(a KL near collapse is almost lognormal), however many seeds there are."""

ROUNDING = 1e-5
"""Relative change of a figure in float32 between machines and versions of torch."""

STEPS = {"dimensions": 1.0, "share": 0.01}
"""What counted figures move by, by unit: one dimension, one image in a hundred."""

TROUBLE = ("failed", "diverged")
FINE = ("same", "new", "gone", "untested")
"""Verdicts that leave the exit status 0. `better` does not: a wrong sign in a density makes a likelihood too good."""


class Change(NamedTuple):
    """A row of the baseline and of the new table, where they are there, and what became of it.

    tolerances: new - old mean in units of the tolerance; inf where no two figures are compared.
    """

    old: Row | None
    new: Row | None
    verdict: str
    tolerances: float = math.inf

    @property
    def row(self) -> Row:
        return self.new or self.old or {}


def own(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without the papers' figures."""
    return frame.loc[frame["status"] != "published", [*COLUMNS]]


def compare(baseline: pd.DataFrame, found: pd.DataFrame, level: float = LEVEL) -> list[Change]:
    """What became of every row of the baseline, and which rows are new."""
    old, new = rows(baseline), rows(found)
    pairs = [(old.get(key), new.get(key)) for key in old | new]
    family = sum(not kind(*pair) for pair in pairs)
    return [change(*pair, level, family) for pair in pairs]


def change(old: Row | None, new: Row | None, level: float, family: int) -> Change:
    """What became of a row, at its share of the level among so many that are tested."""
    said = kind(old, new)
    return judge(old, new, level / family) if old and new and not said else Change(old, new, said)


def rows(frame: pd.DataFrame) -> dict[tuple[str, ...], Row]:
    """Rows by their key; `complete`: no seed of the table is missing in this one."""
    complete = frame.assign(complete=frame["n"] == frame["n"].max())
    return {tuple(text(row[name]) for name in KEY): row for row in records(complete)}


def kind(old: Row | None, new: Row | None) -> str:
    """The verdict where there are no two figures to compare; empty where there are.

    A seed that is missing in a row that had all is a run that failed or diverged.
    """
    if new is None:
        return "vanished" if old and old["status"] == "ok" else "gone"
    if old is None:
        return str(new["status"]) if new["status"] in TROUBLE else "new"
    if old["status"] != new["status"]:
        return f"{old['status']}, now {new['status']}"
    if new["status"] != "ok":
        return "same"
    if text(old["protocol"]) != text(new["protocol"]):
        return "another protocol"
    return "seeds missing" if old["complete"] and not new["complete"] else ""


def judge(old: Row, new: Row, level: float) -> Change:
    """A figure against its baseline, at this row's share of the level."""
    difference, allowed = new["mean"] - old["mean"], tolerance(old, new, level)
    if math.isnan(allowed):
        return Change(old, new, "untested")
    tolerances = difference / allowed if difference else 0.0
    if abs(tolerances) <= 1:
        return Change(old, new, "same", tolerances)
    towards = {"lower": -1, "higher": 1}.get(new["direction"], 0) * difference
    return Change(old, new, "better" if towards > 0 else "worse" if towards < 0 else "moved", tolerances)


def tolerance(old: Row, new: Row, level: float) -> float:
    """How far from its baseline the mean of n seeds may lie, in the figure's unit; nan where the baseline has one seed.

        t s sqrt(1/n + 1/N) + floor

    s is the standard deviation over the baseline's N seeds, t the two-sided quantile of Student's law at `level` with
    min(N - 1, TAILS) degrees of freedom. With N - 1 this is the prediction interval for the mean of n more draws of one
    normal law, exact whatever its variance (Hahn and Meeker 1991). A suite's level is split evenly over its rows
    (Bonferroni), as they depend on each other in every way: some row of an unchanged suite is outside with probability
    <= level.

    The new seeds' own spread is left out: two or three show little of it, and where one of two explodes it widens a
    pooled spread as fast as it moves the mean. Such a t never passes N / sqrt(N + 2), 5.5 at N = 32, however far the
    seed has gone, and more is asked of it.

    Figures are not normal over seeds. Of 120 seeds of the suite `smoke` (171 figures, 20,000 draws without
    replacement), N - 1 degrees of freedom call an unchanged run of two changed in 8 % of tries at N = 32 where 1 % is
    meant: the more seeds, the smaller t, and the tails stay. With at most TAILS it is 0.2 %, and 0.4 %, 0.7 % and 1.2 %
    at N = 20, 16 and 12. Two seeds against 32 are then called changed where they move by 6 s, five by 4 s. Simulated
    suites of 170 independent figures keep the level where all are normal, or have the tails of 7 degrees of freedom;
    were all tails those of 4, 1 % would be 4 % at N = 32 and 8 % at N = 12.

    floor: what is not the seeds'. ROUNDING times the figure, which is all that an exact figure may move by; and for a
    counted one that is the same for all seeds of the baseline, one step (STEPS) in one seed. Seeds that the baseline
    has too lie closer to it still.
    """
    n, many = new["n"], old["n"]
    t = stats.t.isf(level / 2, min(many - 1, TAILS))
    rounding = ROUNDING * max(abs(old["mean"]), abs(new["mean"]))
    step = STEPS.get(new["unit"], 0.0) / n if old["std"] <= rounding else 0.0
    return t * old["std"] * math.sqrt(1 / n + 1 / many) + rounding + step
