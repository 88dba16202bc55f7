"""A suite's table on a terminal, as a person reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.common.escape import in_line
from benchmarks.common.rows import records
from benchmarks.common.screen import unbounded
from benchmarks.estimators.estimator import Estimator
from benchmarks.statistics.paired import LEVEL, PAIR_LEVEL
from benchmarks.tables.notes import Notes, shared, text

STANDINGS = {"best": "*", "tied": "=", "undecided": "?", "better": "+", "worse": ""}
"""Marks of an estimate's standing: all but `worse` have one."""

ARROWS = {"lower": "↓", "higher": "↑"}
"""Which estimates are better, by a row's direction."""

UNRANKED = "!"
"""Mark of an estimate that is unreliable by its estimator's name."""

LEGEND = {
    "*": "best mean",
    "=": f"not told from it by a paired t test on the seeds that the two share, p > {LEVEL:g}",
    "?": f"undecided, {PAIR_LEVEL:g} < p <= {LEVEL:g} or too few seeds",
    "+": f"better than it on the seeds that the two share, p <= {PAIR_LEVEL:g}",
    UNRANKED: "unreliable, and not ranked",
}
"""What the marks mean."""


def show(console: Console, frame: pd.DataFrame, title: str) -> None:
    """The table for people: a block a data set, rows by metric so that methods stand under each other."""
    console = unbounded(console)
    for dataset, part in frame.groupby("dataset", sort=False):
        everywhere = shared(records(part))
        notes = Notes(everywhere)
        console.print(Text(in_line(f"{title}: {dataset}"), "bold"))
        if everywhere:
            console.print(Text(in_line(f"all rows: {'; '.join(everywhere)}"), "yellow"), soft_wrap=True)
        console.print(block(part, notes))
        if any(map(of_one_seed, records(part))):
            console.print(Text("  (in brackets: one seed, standard error over images or draws)", "dim"))
        if marks := legend(part):
            console.print(Text(f"  ({marks})", "dim"))
        for letter, told in notes.footnotes.items():
            console.print(Text(in_line(f"  {letter}  {told}"), "dim"), soft_wrap=True)
        console.print()


def block(part: pd.DataFrame, notes: Notes) -> Table:
    """One data set's rows."""
    published = part["published"].notna().any()
    table = Table(box=None, pad_edge=False, header_style="underline")
    for column in ("metric", "estimator", "best", "method"):
        table.add_column(column, no_wrap=True)
    tested = pairs_differ(part)
    for column in ("mean", "± s.e.", "", "n", *(["pairs"] if tested else []), *(["published"] if published else [])):
        table.add_column(column, justify="left" if column == "" else "right", no_wrap=True)
    for column in (*(["verdict"] if published else []), ""):
        table.add_column(column, no_wrap=True)
    previous = None
    for row in ordered(part):
        key = (row["metric"], row["estimator"])
        best = {"lower": "low", "higher": "high"}.get(row["direction"], "")
        labels = ("", "", "") if key == previous else (*map(text, key), best)
        cells = [*labels, text(row["method"]), *value(row), mark(row), str(row["n"]), *([pairs(row)] if tested else [])]
        cells += [published_value(row), text(row["verdict_label"])] if published else []
        table.add_row(*cells, notes.mark(row))
        previous = key
    return table


def how(row: Mapping[str, Any]) -> Estimator:
    """What a row was computed by."""
    return Estimator.parse(text(row["estimator"]))


def alarm(row: Mapping[str, Any]) -> str:
    """What a reader must not miss of an estimate: its own alarm, or that its estimator is not to be relied on."""
    one = how(row)
    return text(row["alarm"]) or ("" if one.reliable else one.certainty)


def mark(row: Mapping[str, Any]) -> str:
    """Of a row's standing; UNRANKED where its estimator is unreliable."""
    if row["status"] == "ok" and not how(row).reliable:
        return UNRANKED
    return STANDINGS.get(text(row["standing_label"]), "")


def legend(part: pd.DataFrame) -> str:
    """What the marks of these rows mean; empty where they have none."""
    found = {mark(row) for row in records(part)}
    return ", ".join(f"{one}: {meaning}" for one, meaning in LEGEND.items() if one in found)


def pairs(row: Mapping[str, Any]) -> str:
    """On how many seeds the row was tested."""
    return "" if pd.isna(row["pairs"]) else f"{row['pairs']:.0f}"


def pairs_differ(part: pd.DataFrame) -> bool:
    """Was a row tested on fewer seeds than its estimate is of?"""
    return bool((part["pairs"].notna() & (part["pairs"] != part["n"])).any())


def ordered(part: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by metric, by estimator but for what a prior's density makes of it, and by that; each in the order in which
    it first appears."""
    metric, estimator = part["metric"], part["estimator"].map(text)
    base = estimator.map(lambda name: str(Estimator.parse(name).base))
    levels = (metric + " " + estimator, metric + " " + base, metric)
    order = np.lexsort([pd.factorize(level)[0] for level in levels])
    return records(part.iloc[order])


def of_one_seed(row: Mapping[str, Any]) -> bool:
    """Is the error shown that within the one run that there is?"""
    return bool(row["status"] == "ok" and pd.isna(row["stderr"]) and row.get("within", math.nan) > 0)


def value(row: Mapping[str, Any]) -> tuple[str, str]:
    """(mean, standard error) to two digits of the error, which for one seed is over images or draws, in brackets."""
    if row["status"] != "ok":
        return {"unsupported": "-", "published": ""}.get(row["status"], str(row["status"])), ""
    one = of_one_seed(row)
    error = row["within"] if one else row["stderr"]
    if pd.isna(error) or error <= 0:
        return f"{row['mean']:.6g}", ""
    shown = rounded(error, error)
    return rounded(row["mean"], error), f"({shown})" if one else shown


def rounded(number: Any, error: Any, sign: str = "") -> str:
    """A number to two digits of an error, or to six of its own where it has none; empty for nan. sign: a format's."""
    if pd.isna(number):
        return ""
    if pd.isna(error) or error <= 0:
        return f"{number:{sign}.6g}"
    return f"{number:{sign}.{max(0, 1 - math.floor(math.log10(error)))}f}"


def published_value(row: Mapping[str, Any]) -> str:
    """A paper's number as it printed it, with its spread."""
    if pd.isna(row["published"]):
        return ""
    return f"{row['published']:g}" + (f" ± {row['published_std']:g} (std)" if pd.notna(row["published_std"]) else "")
