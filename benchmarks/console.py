"""Tables and texts on a terminal: a suite's table as a person reads it, and a screen that shows text as it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.escape import in_line, visible
from benchmarks.standings import unreliable
from benchmarks.stats import LEVEL, PAIR_LEVEL
from benchmarks.table import WITHIN

STANDINGS = {"best": "*", "tied": "=", "undecided": "?", "better": "+", "worse": ""}
"""Marks of a figure's standing: all but `worse` have one."""

UNRANKED = "!"
"""Mark of a figure that is unreliable by its estimator's name."""

LEGEND = {
    "*": "best mean",
    "=": f"not told from it by a paired t test on the seeds that the two share, p > {LEVEL:g}",
    "?": f"undecided, {PAIR_LEVEL:g} < p <= {LEVEL:g} or too few seeds",
    "+": f"better than it on the seeds that the two share, p <= {PAIR_LEVEL:g}",
    UNRANKED: "unreliable, and not ranked",
}
"""What the marks mean."""


class Screen(Console):
    """A console that shows text as it is: nothing in it is markup, and no control character reaches the terminal."""

    def __init__(self, **more: Any):
        super().__init__(markup=False, highlight=False, emoji=False, **more)

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(visible(text), **how)


def unbounded(console: Console) -> Console:
    """A console of the same file that cuts no figure off, however long its lines."""
    return Screen(file=console.file, force_terminal=console.is_terminal, width=1000)


def show(console: Console, frame: pd.DataFrame, title: str) -> None:
    """The table for people: a block a data set, rows by metric so that methods stand under each other."""
    console = unbounded(console)
    for dataset, part in frame.groupby("dataset", sort=False):
        everywhere = common_note(part["note"])
        notes = Notes(everywhere)
        console.print(Text(in_line(f"{title}: {dataset}"), "bold"))
        if everywhere:
            console.print(Text(in_line(f"all rows: {everywhere}"), "yellow"), soft_wrap=True)
        console.print(block(part, notes))
        if part["note"].str.contains(WITHIN).any():
            console.print(Text("  (in brackets: one seed, standard error over images or draws)", "dim"))
        if marks := legend(part):
            console.print(Text(f"  ({marks})", "dim"))
        for line in notes.lines():
            console.print(Text(in_line(line), "dim"), soft_wrap=True)
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
        verdict, _, reason = text(row["verdict"]).partition(": ")
        cells += [published_value(row), verdict] if published else []
        doubt = text(row["standing"]).partition("; ")[2]
        note = "; ".join(filter(None, (text(row["note"]), doubt, reason and f"not comparable: {reason}")))
        table.add_row(*cells, notes.mark(note))
        previous = key
    return table


def mark(row: Mapping[str, Any]) -> str:
    """Of a row's standing; UNRANKED where its estimator is unreliable."""
    if row["status"] == "ok" and unreliable(text(row["estimator"])):
        return UNRANKED
    return STANDINGS.get(text(row["standing"]).partition("; ")[0], "")


def legend(part: pd.DataFrame) -> str:
    """What the marks of these rows mean; empty where they have none."""
    found = {mark(row) for row in part.to_dict("records")}
    return ", ".join(f"{one}: {meaning}" for one, meaning in LEGEND.items() if one in found)


def pairs(row: Mapping[str, Any]) -> str:
    """On how many seeds the row was tested."""
    return "" if pd.isna(row["pairs"]) else f"{row['pairs']:.0f}"


def pairs_differ(part: pd.DataFrame) -> bool:
    """Was a row tested on fewer seeds than its figure is of?"""
    return bool((part["pairs"].notna() & (part["pairs"] != part["n"])).any())


class Notes:
    """Footnotes: each distinct note gets a letter, and what all rows share is said once above."""

    def __init__(self, everywhere: str):
        self.everywhere = everywhere
        self.letters: dict[str, str] = {}

    def mark(self, note: str) -> str:
        shown = (*self.everywhere.split("; "), *brackets(note))
        rest = "; ".join(part for part in note.split("; ") if part not in shown)
        if not rest:
            return ""
        return self.letters.setdefault(rest, letters(len(self.letters)))

    def lines(self) -> list[str]:
        return [f"  {letter}  {note}" for note, letter in self.letters.items()]


def letters(n: int) -> str:
    """a, b, ..., z, aa, ab, ..., from n = 0."""
    return (letters(n // 26 - 1) if n >= 26 else "") + chr(ord("a") + n % 26)


def common_note(notes: pd.Series) -> str:
    """The parts that every row's note has."""
    parts = [text(note).split("; ") for note in notes]
    return "; ".join(part for part in parts[0] if part and all(part in other for other in parts))


def ordered(part: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows by metric, by estimator but for what a prior's density adds to its name (`+estimate`), and by that; each in
    the order in which it first appears."""
    metric, estimator = part["metric"], part["estimator"].map(text)
    levels = (metric + " " + estimator, metric + " " + estimator.str.partition("+")[0], metric)
    order = np.lexsort([pd.factorize(level)[0] for level in levels])
    return part.iloc[order].to_dict("records")


def value(row: dict[str, Any]) -> tuple[str, str]:
    """(mean, standard error) to two digits of the error, which for one seed is over images or draws, in brackets."""
    if row["status"] != "ok":
        return {"unsupported": "-", "published": ""}.get(row["status"], str(row["status"])), ""
    inside = brackets(text(row["note"]))
    error = float(inside[0].split()[-1]) if inside else row["stderr"]
    if pd.isna(error) or error <= 0:
        return f"{row['mean']:.6g}", ""
    shown = rounded(error, error)
    return rounded(row["mean"], error), f"({shown})" if inside else shown


def rounded(number: float, error: float, sign: str = "") -> str:
    """A number to two digits of an error, or to six of its own where it has none; empty for nan. sign: a format's."""
    if pd.isna(number):
        return ""
    if pd.isna(error) or error <= 0:
        return f"{number:{sign}.6g}"
    return f"{number:{sign}.{max(0, 1 - math.floor(math.log10(error)))}f}"


def brackets(note: str) -> list[str]:
    """The part of a note that is shown in the error's column."""
    return [part for part in note.split("; ") if part.startswith(WITHIN)]


def published_value(row: dict[str, Any]) -> str:
    if pd.isna(row["published"]):
        return ""
    return f"{row['published']:g}" + (f" ± {row['published_std']:g} (std)" if pd.notna(row["published_std"]) else "")


def text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
