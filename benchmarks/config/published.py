"""The papers' numbers beside ours: which stands beside which, how far they are apart, and what that says."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import scipy
from pydantic import Field, field_validator

from benchmarks.common.rows import records
from benchmarks.common.settings import Settings
from benchmarks.config.settings import Run
from benchmarks.statistics.paired import LEVEL

CHECKOUT = Path(__file__).parents[2] / "results" / "published.csv"
FILE = CHECKOUT if CHECKOUT.is_file() else Path(__file__).parent / "published.csv"
"""The papers' numbers: in a checkout's results, or beside this file in an installed package."""

REPRODUCED, DIFFERS, NOT_COMPARABLE = VERDICTS = ("reproduced", "differs", "not comparable")

LEAST_SEEDS = 3
"""Seeds below which the spread over seeds is too uncertain for a verdict."""

COLUMNS = ("published", "published_std", "published_source", "deviation", "verdict")

PARTS = ("verdict_label", "verdict_reason")
"""`verdict` in its parts: what it says, and why no more is said."""


@lru_cache
def numbers(path: Path = FILE) -> pd.DataFrame:
    """The papers' numbers as they printed them; `decimals` are those that they printed."""
    frame = pd.read_csv(path, dtype={"table": str, "value": str}, keep_default_na=False, na_values={"std": [""]})
    decimals = frame["value"].str.partition(".")[2].str.len()
    return frame.assign(decimals=decimals, value=frame["value"].astype(float))


class PaperRow(Settings):
    """What a paper calls a row of its table, and its note where several have that name."""

    name: str
    note: str = ""


class Published(Settings):
    """A paper's table that a suite repeats.

    figures: the paper's metric to ours that stand beside it, each "ESTIMATOR", or "METRIC ESTIMATOR" where we call it
    otherwise. models: our method to the paper's name for the row, or to `{name, note}` where names do not tell rows
    apart and their notes do. runs: those that the paper's standard deviations are of. not_comparable: the paper's
    metric, or "all", to the reason why no verdict is given.
    """

    paper: str
    table: str
    figures: dict[str, tuple[str, ...]]
    models: dict[str, PaperRow] = {}
    runs: int = Field(1, ge=1, le=1_000_000)
    not_comparable: dict[str, str] = {}

    @field_validator("figures", mode="before")
    @classmethod
    def one_or_several(cls, value: Any) -> Any:
        """A single estimator may stand without brackets."""
        if not isinstance(value, dict):
            return value
        return {key: (one,) if isinstance(one, str) else one for key, one in value.items()}

    @field_validator("models", mode="before")
    @classmethod
    def names_alone(cls, value: Any) -> Any:
        """A row that its name tells from all others is that name."""
        if not isinstance(value, dict):
            return value
        return {key: {"name": one} if isinstance(one, str) else one for key, one in value.items()}

    @property
    def rows(self) -> pd.DataFrame:
        """The table's numbers of these metrics."""
        every = numbers()
        mine = every["paper"].eq(self.paper) & every["table"].eq(self.table) & every["metric"].isin(self.figures)
        return every[mine]

    def metric_of(self, metric: str, estimator: str) -> str | None:
        """The paper's metric that ours stands beside."""
        for theirs, ours in self.figures.items():
            if (metric, estimator) in {tuple(one.split()) if " " in one else (theirs, one) for one in ours}:
                return theirs
        return None

    def beside(self, run: Run, row: dict[str, Any]) -> dict[str, Any]:
        """The columns of COLUMNS for a row of ours; none where the paper has no such number."""
        if row["status"] != "ok":
            return {}
        theirs = self.metric_of(row["metric"], row["estimator"])
        if theirs is None:
            return {}
        named = self.models.get(run.method, PaperRow(name=run.method))
        mine = self.rows
        mine = mine[mine["dataset"].eq(run.dataset) & mine["metric"].eq(theirs) & mine["model"].eq(named.name)]
        if named.note:
            mine = mine[mine["note"].eq(named.note)]
        if mine.empty:
            return {}
        if len(mine) > 1:  # told apart by their notes only: not ours to choose
            return {"published_source": f"{self.paper} table {self.table} has {len(mine)} such figures"}
        (number,) = records(mine)
        return self.columns(number) | self.judged(number, run, row)

    def columns(self, number: dict[str, Any]) -> dict[str, Any]:
        """A number of the paper as it printed it."""
        source = f"{self.paper} table {self.table}" + (f": {number['note']}" if number["note"] else "")
        return {"published": number["value"], "published_std": number["std"], "published_source": source}

    def judged(self, number: dict[str, Any], run: Run, row: dict[str, Any]) -> dict[str, Any]:
        """The difference in standard errors, and the verdict: `reproduced` where p > LEVEL, else `differs`."""
        reason = self.not_comparable.get(number["metric"]) or self.not_comparable.get("all")
        if run.trial:
            reason = "a trial, not the suite's own settings"
        elif row["n"] < LEAST_SEEDS:
            reason = reason or f"{row['n']} seed{'s'[: row['n'] - 1]}, and {LEAST_SEEDS} are needed"
        if reason:
            return {"verdict": f"not comparable: {reason}", "verdict_label": NOT_COMPARABLE, "verdict_reason": reason}
        rounding = 10.0 ** -number["decimals"] / math.sqrt(12)
        error, freedom = welch(row["std"], row["n"], number["std"], self.runs, rounding)
        deviation = (row["mean"] - number["value"]) / error
        within = abs(deviation) <= scipy.special.stdtrit(freedom, 1 - LEVEL / 2)
        verdict = REPRODUCED if within else DIFFERS
        return {"deviation": deviation, "verdict": verdict, "verdict_label": verdict}


def welch(std: float, n: int, their_std: float, runs: int, rounding: float) -> tuple[float, float]:
    """(standard error of the difference of two means, its degrees of freedom), by Welch and Satterthwaite.

        error^2 = s^2 / n + s'^2 / r + rounding^2,    1 / df = sum_i (v_i / error^2)^2 / df_i

    Ours over n seeds, theirs over r runs and the rounding of their last digit, of known spread. Where they print no
    spread (nan), their number counts as one run with ours, and error^2 = s^2 (1 / n + 1) + rounding^2; a spread of one
    run, which is one of who knows how many, has the freedom of two.

    Of equal means with normal values `differs` is said in 5 % where no spread is printed, in 3.5 % to 6 % for 3 to 8
    seeds against 3 to 8 runs, and in 7.5 % at most, for 20 seeds against 3 runs. Two standard errors in the place of
    t's quantile would make these 18 % with 3 seeds and 12 % with 5, 7 % to 12 %, and 13 %.
    """
    if math.isnan(their_std):
        parts = [(std**2 * (1 / n + 1), n - 1)]
    else:
        parts = [(std**2 / n, n - 1), (their_std**2 / runs, max(1, runs - 1))]
    variance = sum(v for v, _ in parts) + rounding**2
    doubt = sum(v**2 / df for v, df in parts)
    return math.sqrt(variance), variance**2 / doubt if doubt else math.inf
