"""The papers' figures beside ours: which stands beside which, how far they are apart, and what that says."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field, field_validator

from benchmarks.settings import Run, Settings

CHECKOUT = Path(__file__).parent.parent / "results" / "published.csv"
FILE = CHECKOUT if CHECKOUT.is_file() else Path(__file__).parent / "published.csv"
"""The papers' figures: in a checkout's results, or beside this file in an installed package."""

AGREES = 2.0
"""Standard errors of the difference within which a figure counts as reproduced."""

LEAST_SEEDS = 3
"""Seeds below which the spread over seeds is too uncertain for a verdict."""

COLUMNS = ("published", "published_std", "published_source", "deviation", "verdict")


@lru_cache
def figures(path: Path = FILE) -> pd.DataFrame:
    """The papers' figures as they printed them; `decimals` are those that they printed."""
    frame = pd.read_csv(path, dtype={"table": str, "value": str}, keep_default_na=False, na_values={"std": [""]})
    decimals = frame["value"].str.partition(".")[2].str.len()
    return frame.assign(decimals=decimals, value=frame["value"].astype(float))


class Published(Settings):
    """A paper's table that a suite repeats.

    figures: the paper's metric to ours that stand beside it, each "ESTIMATOR", or "METRIC ESTIMATOR" where we call it
    otherwise. models: our method to the paper's name for the row, followed by "; " and the row's note where names do
    not tell rows apart. runs: those that the paper's standard deviations are of. not_comparable: the paper's metric,
    or "all", to the reason why no verdict is given.
    """

    paper: str
    table: str
    figures: dict[str, tuple[str, ...]]
    models: dict[str, str] = {}
    runs: int = Field(1, ge=1, le=1_000_000)
    not_comparable: dict[str, str] = {}

    @field_validator("figures", mode="before")
    @classmethod
    def one_or_several(cls, value: Any) -> Any:
        """A single estimator may stand without brackets."""
        if not isinstance(value, dict):
            return value
        return {key: (one,) if isinstance(one, str) else one for key, one in value.items()}

    @property
    def rows(self) -> pd.DataFrame:
        """The table's figures of these metrics."""
        every = figures()
        mine = every["paper"].eq(self.paper) & every["table"].eq(self.table) & every["metric"].isin(self.figures)
        return every[mine]

    def metric_of(self, metric: str, estimator: str) -> str | None:
        """The paper's metric that ours stands beside."""
        for theirs, ours in self.figures.items():
            if (metric, estimator) in {tuple(one.split()) if " " in one else (theirs, one) for one in ours}:
                return theirs
        return None

    def beside(self, run: Run, row: dict[str, Any]) -> dict[str, Any]:
        """The columns of COLUMNS for a row of ours; none where the paper has no such figure."""
        if row["status"] != "ok":
            return {}
        theirs = self.metric_of(row["metric"], row["estimator"])
        if theirs is None:
            return {}
        model, _, note = self.models.get(run.method, run.method).partition("; ")
        mine = self.rows
        mine = mine[mine["dataset"].eq(run.dataset) & mine["metric"].eq(theirs) & mine["model"].eq(model)]
        if note:
            mine = mine[mine["note"].eq(note)]
        if mine.empty:
            return {}
        if len(mine) > 1:  # told apart by their notes only: not ours to choose
            return {"published_source": f"{self.paper} table {self.table} has {len(mine)} such figures"}
        (figure,) = mine.to_dict("records")
        return self.columns(figure) | self.judged(figure, run, row)

    def columns(self, figure: dict[str, Any]) -> dict[str, Any]:
        """A figure of the paper as it printed it."""
        source = f"{self.paper} table {self.table}" + (f": {figure['note']}" if figure["note"] else "")
        return {"published": figure["value"], "published_std": figure["std"], "published_source": source}

    def judged(self, figure: dict[str, Any], run: Run, row: dict[str, Any]) -> dict[str, Any]:
        """The difference in standard errors, and the verdict.

        The error is of our mean over seeds and of theirs over `runs`; where the paper prints no spread, its figure
        counts as one run with our standard deviation. Its last printed digit is rounded, too.
        """
        reason = self.not_comparable.get(figure["metric"]) or self.not_comparable.get("all")
        if run.trial:
            reason = "a trial, not the suite's own settings"
        elif row["n"] < LEAST_SEEDS:
            reason = reason or f"{row['n']} seed{'s'[: row['n'] - 1]}, and {LEAST_SEEDS} are needed"
        if reason:
            return {"verdict": f"not comparable: {reason}"}
        theirs = row["std"] if math.isnan(figure["std"]) else figure["std"] / math.sqrt(self.runs)
        rounding = 10.0 ** -figure["decimals"] / math.sqrt(12)
        error = math.hypot(row["stderr"], theirs, rounding)
        deviation = (row["mean"] - figure["value"]) / error
        return {"deviation": deviation, "verdict": "reproduced" if abs(deviation) <= AGREES else "differs"}
